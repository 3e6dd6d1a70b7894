"""Frames in screenshots: the crop is that of the frame alone."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from service.imaging.sector import Box, find_sector
from tests.support.images import speckle
from tests.support.screenshots import SCREENSHOTS, Gray, around


def fan() -> Gray:
    """Return a frame: a fan of speckle on black, with text."""
    pixels, mask = np.zeros((300, 400), np.uint8), np.zeros((300, 400), np.uint8)
    cv2.ellipse(mask, (200, 30), (240, 240), 90, -40, 40, 255, -1)
    tissue = 30 + np.random.default_rng(0).normal(0, 25, (300, 400)) + speckle(300, 400) / 2
    pixels[mask > 0] = np.clip(tissue, 0, 255).astype(np.uint8)[mask > 0]
    cv2.putText(pixels, "12:30", (10, 290), cv2.FONT_HERSHEY_SIMPLEX, 0.5, 255, 1)
    return pixels


def assert_same_crop(shown: Gray, pixels: Gray) -> None:
    """Compare the crops, wherever the frame is in the screenshot."""
    expected, found = find_sector(pixels), find_sector(shown)
    ys, xs = np.unravel_index(cv2.matchTemplate(shown, pixels, cv2.TM_SQDIFF).argmin(),
                              (shown.shape[0] - pixels.shape[0] + 1, shown.shape[1] - pixels.shape[1] + 1))  # fmt: skip
    wanted = expected.moved(int(xs), int(ys))
    assert all(abs(a - b) <= 12 for a, b in zip(found, wanted, strict=True)), (found, wanted)


@pytest.mark.parametrize("level", [24, 40, 64, 128, 192, 220, 245, 255])
@pytest.mark.parametrize("width", [12, 60, 200])
def test_a_plain_surround_is_cut_off(level: int, width: int) -> None:
    assert_same_crop(around(fan(), level, width), fan())


@pytest.mark.parametrize("kind", SCREENSHOTS)
def test_a_frame(kind: str) -> None:
    assert_same_crop(SCREENSHOTS[kind](fan()), fan())


@settings(max_examples=60, deadline=None)
@given(hnp.arrays(np.uint8, (90, 120), fill=st.integers(0, 255)), st.integers(0, 255), st.integers(0, 99))
def test_any_picture_in_any_surround_has_a_crop(pixels: Gray, level: int, width: int) -> None:
    shown = around(pixels, level, width)
    box = find_sector(shown)
    assert 0 <= box.left < box.right <= shown.shape[1]
    assert 0 <= box.top < box.bottom <= shown.shape[0]


@pytest.mark.parametrize("level", [0, 30, 255])
def test_a_blank_page_is_not_cropped(level: int) -> None:
    assert find_sector(np.full((300, 400), level, np.uint8)) == Box(0, 0, 400, 300)


def test_a_plain_line_on_one_side_is_no_surround() -> None:
    pixels = fan()
    before = find_sector(pixels)
    pixels[:3] = 60
    assert find_sector(pixels) == before
