from typing import Any

import cv2
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from service.imaging.letterbox import crop_and_letterbox, find_crop, letterbox, letterbox_box
from service.imaging.sector import Box, find_sector, full_box
from service.schemas.manifest import Preprocessing
from tests.support.images import speckle

GRAY = hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=300), fill=st.integers(0, 255))


def assert_inside(box: Box, pixels: np.ndarray[Any, Any]) -> None:
    height, width = pixels.shape
    assert 0 <= box.left < box.right <= width
    assert 0 <= box.top < box.bottom <= height


@settings(max_examples=150, deadline=None)
@given(GRAY)
def test_any_frame_has_a_sector_inside_it(pixels: np.ndarray[Any, np.dtype[np.uint8]]) -> None:
    assert_inside(find_sector(pixels), pixels)


@settings(max_examples=150, deadline=None)
@given(GRAY, st.sampled_from(["sector", "none"]), st.sampled_from([32, 97, 224]), st.floats(1, 2))
def test_any_frame_can_be_letterboxed(
    pixels: np.ndarray[Any, np.dtype[np.uint8]], crop: Any, size: int, zoom: float
) -> None:
    prepared, (box, _) = crop_and_letterbox(pixels, Preprocessing(size=size, crop=crop, zoom=zoom))
    assert prepared.shape == (size, size)
    assert prepared.dtype == np.uint8
    assert_inside(box, pixels)


def test_extreme_shapes() -> None:
    for shape in ((1, 1), (1, 16_384), (16_384, 1), (2, 3)):
        for level in (0, 255):
            pixels = np.full(shape, level, np.uint8)
            prepared, _ = crop_and_letterbox(pixels, Preprocessing(size=224, crop="sector"))
            assert prepared.shape == (224, 224)


def test_a_fan_is_found_and_text_is_not() -> None:
    pixels = np.zeros((600, 800), np.uint8)
    mask = np.zeros_like(pixels)
    cv2.ellipse(mask, (400, 80), (420, 420), 90, -35, 35, 255, -1)
    pixels[mask > 0] = 60 + speckle(600, 800)[mask > 0] // 2
    cv2.putText(pixels, "Hospital 12:30", (20, 580), cv2.FONT_HERSHEY_SIMPLEX, 0.6, 255, 1)
    rows, columns = np.nonzero(mask)
    box = find_sector(pixels)
    for found, true in zip(box, (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1), strict=True):
        assert abs(found - true) < 25


def test_a_black_frame_is_not_cropped() -> None:
    pixels = np.zeros((30, 40), np.uint8)
    assert find_sector(pixels) == full_box(pixels) == Box(0, 0, 40, 30)


def test_the_letterbox_keeps_the_aspect_ratio_and_centers() -> None:
    square = letterbox(np.full((100, 200), 255, np.uint8), 64)
    assert letterbox_box(100, 200, 64) == Box(0, 16, 64, 48)
    assert (square[16:48] == 255).all()
    assert not square[:16].any()
    assert not square[48:].any()


def test_zoom_cuts_the_longer_side_and_leaves_the_shorter_while_it_can() -> None:
    pixels = np.full((100, 160), 90, np.uint8)
    assert find_crop(pixels, Preprocessing(size=64, crop="none", zoom=1.25)).box == Box(16, 0, 144, 100)
    assert find_crop(pixels, Preprocessing(size=64, crop="none", zoom=2.0)).box == Box(40, 10, 120, 90)
    assert find_crop(pixels, Preprocessing(size=64, crop="none")).box == full_box(pixels)
