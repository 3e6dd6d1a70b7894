"""Find the insonated sector: the part of a frame that shows tissue, without its surround and the text there."""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from service.imaging.surround import find_picture

_WORKING_SIDE = 256  # pixels; the search runs on a reduced copy, so its cost does not grow with the frame
_BLACK = 6  # gray levels; a scanner's background is 0, and JPEG ringing stays below this
_TEXT_STROKE = 5  # working pixels; an opening of this size removes text, rulers and calipers, and keeps tissue
_MIN_SHARE = 0.08  # of the frame; a smaller component is noise, and the whole frame is the better crop
_MARGIN = 0.01  # of the longer side, on every side of the sector
_MAX_SURROUNDS = 4  # one inside the other: desktop, window, page


class Box(NamedTuple):
    """A rectangle in pixels of the upright frame; `right` and `bottom` are exclusive."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        """The width in pixels."""
        return self.right - self.left

    @property
    def height(self) -> int:
        """The height in pixels."""
        return self.bottom - self.top

    def cut(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the part of `pixels` [H, W] inside this box, as a view."""
        return pixels[self.top : self.bottom, self.left : self.right]

    def moved(self, right: int, down: int) -> "Box":
        """Return the box this many pixels further to the right and down."""
        return Box(self.left + right, self.top + down, self.right + right, self.bottom + down)


def full_box(pixels: NDArray[np.uint8]) -> Box:
    """Return the box that covers all of `pixels` [H, W]."""
    height, width = pixels.shape
    return Box(0, 0, width, height)


def size_within(side: int, height: int, width: int) -> tuple[int, int]:
    """Return width and height of a picture shrunk to at most `side` pixels per side, never enlarged."""
    scale = min(1.0, side / max(height, width))
    return max(1, round(width * scale)), max(1, round(height * scale))


def downscale(picture: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """Shrink a picture uint8 [H, W] or [H, W, 3] to `width` x `height` by area averaging.

    The picture is halved as often as possible first, because OpenCV averages over whole factors many times faster than
    over others. A halving drops the last row or column of an odd number.
    """
    while picture.shape[0] >= 2 * height and picture.shape[1] >= 2 * width:
        rows, columns = picture.shape[0] // 2, picture.shape[1] // 2
        picture = _average(picture[: 2 * rows, : 2 * columns], columns, rows)
    return _average(picture, width, height)


def _average(picture: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)


def find_sector(pixels: NDArray[np.uint8]) -> Box:
    """Return the bounding box of the sector with a small margin; the whole frame where no sector is found.

    Parameters
    ----------
    pixels
        A gray frame, uint8 [H, W], 0 is black.
    """
    box, plain_sides = full_box(pixels), 2
    for _ in range(_MAX_SURROUNDS):
        part = box.cut(pixels)
        size = size_within(_WORKING_SIDE, *part.shape)
        small = downscale(part, *size)
        sector, picture = None, _picture(small, full_box(small), plain_sides)
        if picture is None:
            sector = _search(small)
            # The sector of a window on a black desktop is the window.
            picture = None if sector is None else _picture(small, sector, 2)
        if picture is None:
            found = None if sector is None else _enlarge(sector, small.shape, part.shape, _MARGIN)
            return box if found is None else found.moved(box.left, box.top)
        # A window within the surround need not be plain on two sides.
        box, plain_sides = _enlarge(picture, small.shape, part.shape, 0).moved(box.left, box.top), 1
    return box


def _picture(small: NDArray[np.uint8], within: Box, plain_sides: int) -> Box | None:
    found = find_picture(within.cut(small), plain_sides)
    return None if found is None else Box(*found).moved(within.left, within.top)


def _search(small: NDArray[np.uint8]) -> Box | None:
    """Return the box of the sector in the reduced frame; None where no sector is found."""
    # Everything brighter than the background; the opening then removes everything as thin as text.
    lit = (cv2.blur(small, (3, 3)) > _BLACK).astype(np.uint8)
    closed = cv2.morphologyEx(lit, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    tissue = cv2.morphologyEx(closed, cv2.MORPH_OPEN, np.ones((_TEXT_STROKE, _TEXT_STROKE), np.uint8))
    # Acoustic shadows cut a sector into islands. The dilation joins them into one component.
    joined = cv2.dilate(tissue, np.ones((9, 9), np.uint8))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
    if count < 2:
        return None
    largest = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    found = cv2.bitwise_and(tissue, cv2.inRange(labels, largest, largest))
    if cv2.countNonZero(found) < _MIN_SHARE * small.size:
        return None
    left, top, width, height = cv2.boundingRect(found)
    return Box(left, top, left + width, top + height)


def _enlarge(box: Box, small: tuple[int, int], shape: tuple[int, int], margin: float) -> Box:
    """Return a box of a reduced frame in the pixels of the frame, with a margin as a share of its longer side."""
    (height, width), (rows, columns) = shape, small
    x_scale, y_scale, margin = width / columns, height / rows, margin * max(height, width)
    return Box(
        max(0, int(box.left * x_scale - margin)),
        max(0, int(box.top * y_scale - margin)),
        min(width, int(box.right * x_scale + margin + 0.5)),
        min(height, int(box.bottom * y_scale + margin + 0.5)),
    )
