"""Find the insonated sector: the part of a frame that shows tissue, without the black surround and its text."""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

_WORKING_SIDE = 256  # pixels; the search runs on a reduced copy, so its cost does not grow with the frame
_BLACK = 6  # gray levels; a scanner's background is 0, and JPEG ringing stays below this
_TEXT_STROKE = 5  # working pixels; an opening of this size removes text, rulers and calipers, and keeps tissue
_MIN_SHARE = 0.08  # of the frame; a smaller component is noise, and the whole frame is the better crop
_MARGIN = 0.01  # of the longer side, on every side of the sector


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


def full_box(pixels: NDArray[np.uint8]) -> Box:
    """Return the box that covers all of `pixels` [H, W]."""
    height, width = pixels.shape
    return Box(0, 0, width, height)


def size_within(side: int, height: int, width: int) -> tuple[int, int]:
    """Return width and height of a picture shrunk to at most `side` pixels per side, never enlarged."""
    scale = min(1.0, side / max(height, width))
    return max(1, round(width * scale)), max(1, round(height * scale))


def find_sector(pixels: NDArray[np.uint8]) -> Box:
    """Return the bounding box of the sector with a small margin; the whole frame where no sector is found.

    Parameters
    ----------
    pixels
        A gray frame, uint8 [H, W], 0 is black.
    """
    height, width = pixels.shape
    small = cv2.resize(pixels, size_within(_WORKING_SIDE, height, width), interpolation=cv2.INTER_AREA)
    # Everything brighter than the background; the opening then removes everything as thin as text.
    lit = (cv2.blur(small, (3, 3)) > _BLACK).astype(np.uint8)
    closed = cv2.morphologyEx(lit, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    tissue = cv2.morphologyEx(closed, cv2.MORPH_OPEN, np.ones((_TEXT_STROKE, _TEXT_STROKE), np.uint8))
    # Acoustic shadows cut a sector into islands. The dilation joins them into one component.
    joined = cv2.dilate(tissue, np.ones((9, 9), np.uint8))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
    if count < 2:
        return full_box(pixels)
    largest = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    found = cv2.bitwise_and(tissue, cv2.inRange(labels, largest, largest))
    if cv2.countNonZero(found) < _MIN_SHARE * small.size:
        return full_box(pixels)
    # Back to the pixels of the frame.
    left, top, found_width, found_height = cv2.boundingRect(found)
    margin = _MARGIN * max(height, width)
    x_scale, y_scale = width / small.shape[1], height / small.shape[0]
    return Box(
        max(0, int(left * x_scale - margin)),
        max(0, int(top * y_scale - margin)),
        min(width, int((left + found_width) * x_scale + margin + 0.5)),
        min(height, int((top + found_height) * y_scale + margin + 0.5)),
    )
