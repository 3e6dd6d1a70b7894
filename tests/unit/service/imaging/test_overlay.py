import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.imaging.overlay import encode_picture, paint, upsample_heatmap
from service.imaging.sector import Box
from tests.support.images import speckle

SIZE, CELLS = 64, 8


def one_hot(row: int, column: int) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    heat = np.zeros((CELLS, CELLS), np.float32)
    heat[row, column] = 1
    return heat


@pytest.mark.parametrize(
    ("crop", "row", "column", "x", "y"),
    [
        # 400 x 200 is in rows 16 to 48 of the square: cell (4, 2), centered on (20, 36), is at (125, 125) of the crop.
        (Box(30, 10, 430, 210), 4, 2, 125, 125),
        (Box(0, 0, 400, 200), 3, 1, 75, 75),
        # 200 x 400 lies in columns 16 to 48.
        (Box(0, 0, 200, 400), 2, 4, 125, 125),
        (Box(5, 5, 69, 69), 3, 6, 52, 28),
        (Box(0, 0, 32, 32), 5, 2, 10, 22),
    ],
)
def test_heat_is_painted_where_the_network_saw_it(crop: Box, row: int, column: int, x: int, y: int) -> None:
    heat = upsample_heatmap(one_hot(row, column), crop, SIZE)
    assert heat.shape == (crop.height, crop.width)
    rows, columns = np.nonzero(heat > 0.9 * heat.max())
    assert abs(rows.mean() + 0.5 - y) < 0.02 * crop.height + 0.5
    assert abs(columns.mean() + 0.5 - x) < 0.02 * crop.width + 0.5


def test_heat_in_the_letterbox_is_not_shown() -> None:
    heat = upsample_heatmap(one_hot(0, 4), Box(0, 0, 400, 100), SIZE)
    assert heat.max() < 0.01


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(1, 300),
    width=st.integers(1, 300),
    cells=st.integers(1, 14),
    level=st.floats(0, 1, width=32),
)
def test_a_constant_map_stays_constant(height: int, width: int, cells: int, level: float) -> None:
    even = np.full((cells, cells), level, np.float32)
    heat = upsample_heatmap(even, Box(3, 4, 3 + width, 4 + height), SIZE)
    assert heat.shape == (height, width)
    np.testing.assert_allclose(heat, level, atol=1e-4)


def test_a_frame_without_evidence_is_unchanged() -> None:
    pixels = speckle(90, 120)
    picture = paint(pixels, np.zeros((CELLS, CELLS), np.float32), Box(10, 10, 100, 80), SIZE)
    assert picture.shape == (90, 120, 3)
    assert (picture == pixels[..., None]).all()


def test_the_frame_outside_the_crop_is_unchanged() -> None:
    pixels = speckle(90, 120)
    crop = Box(10, 20, 100, 80)
    picture = paint(pixels, np.ones((CELLS, CELLS), np.float32), crop, SIZE)
    inside = np.zeros(pixels.shape, bool)
    inside[crop.top : crop.bottom, crop.left : crop.right] = True
    assert (picture[~inside] == pixels[~inside][:, None]).all()
    assert (picture[inside] != pixels[inside][:, None]).any(1).all()


def test_more_evidence_covers_more_and_tissue_stays_visible() -> None:
    pixels = np.tile(np.array([[50, 150]], np.uint8), (64, 32))
    contrasts = []
    for level in (0.0, 0.25, 0.5, 0.75, 1.0):
        heat = np.full((CELLS, CELLS), level, np.float32)
        picture = paint(pixels, heat, Box(0, 0, 64, 64), SIZE).astype(int)
        contrasts.append(int(picture[0, 1].mean() - picture[0, 0].mean()))
    assert contrasts == sorted(set(contrasts), reverse=True)
    assert contrasts[0] == 100
    assert contrasts[-1] >= 30


def test_painting_does_not_change_the_frame() -> None:
    pixels = speckle()
    pixels.setflags(write=False)
    paint(pixels, np.ones((CELLS, CELLS), np.float32), Box(0, 0, 80, 60), SIZE)


def test_long_frames_are_painted() -> None:
    pixels = np.zeros((3, 16_384), np.uint8)
    picture = paint(pixels, np.ones((CELLS, CELLS), np.float32), Box(0, 0, 16_384, 3), SIZE)
    assert len(encode_picture(picture, "image/jpeg")) > 100


def test_png_is_exact_and_jpeg_close() -> None:
    picture = paint(speckle(), one_hot(4, 4), Box(0, 0, 80, 60), SIZE)
    png = cv2.imdecode(np.frombuffer(encode_picture(picture, "image/png"), np.uint8), cv2.IMREAD_COLOR)
    jpeg = cv2.imdecode(np.frombuffer(encode_picture(picture, "image/jpeg"), np.uint8), cv2.IMREAD_COLOR)
    assert png is not None
    assert jpeg is not None
    assert (png == picture).all()
    assert np.abs(jpeg.astype(int) - picture).mean() < 6
