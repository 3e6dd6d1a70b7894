"""Find the picture inside a light surround: the desktop, window frame or page around a frame in a screenshot.

A surround is plain where it touches the border: lit, and almost the same from pixel to pixel. Tissue has speckle, and
the surround that a scanner draws is black.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

_LIT = 14  # gray levels; what is darker is the black of a scanner, or a faint echo
_DARK = bytes(range(_LIT + 1))
_STEP = 2  # gray levels between neighbors in a plain line
_RANGE = 6  # gray levels within 3 x 3 pixels of a plain area; JPEG noise stays below
_LIT_SHARE, _PLAIN_SHARE = 0.9, 0.7  # of a plain line; letters and buttons are the rest
_INNER = 2  # the line that is tried if the outermost is not plain: there may be a thin line around a window
_BAND = 6  # pixels; a plain area that comes this close to the border belongs to the surround
_STROKE = 7  # pixels; smaller things are letters and lines
_FILLED = 0.6  # of each line of a picture
_EDGE = 2  # pixels on each side of the picture that are next to its edge
_LEAST_SIDE = 16  # pixels of a picture
_LEAST_SHARE = 0.04  # of the area


def find_picture(small: NDArray[np.uint8], plain_sides: int) -> tuple[int, int, int, int] | None:
    """Return left, top, right and bottom of the picture inside a surround; None without a surround.

    Parameters
    ----------
    small
        A gray frame uint8 [H, W] of at most some hundred pixels per side.
    plain_sides
        The number of plain sides that show a surround. Frames without one have up to one plain side: a header, or a
        faint far field.
    """
    if not _has_plain_sides(small, plain_sides):
        return None
    # Plain areas that touch the border. The pixels next to an edge belong to neither side of it.
    spread = cv2.morphologyEx(small, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
    count, labels = cv2.connectedComponents(((small > _LIT) & (spread <= _RANGE)).astype(np.uint8), connectivity=4)
    inside = np.ones(count, np.uint8)  # by area; not `np.isin`, which imports modules that a decoder may not open
    for band in (labels[:_BAND], labels[-_BAND:], labels[:, :_BAND], labels[:, -_BAND:]):
        inside[band] = 0
    inside[0] = 1  # what is not plain
    left_over = inside[labels]
    # What is left is the picture, after an opening that removes letters, buttons and the lines around windows.
    opened = cv2.morphologyEx(left_over, cv2.MORPH_OPEN, np.ones((_STROKE, _STROKE), np.uint8))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(opened, connectivity=4)
    if count < 2:
        return None
    largest = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    left, top, width, height, _ = (int(each) for each in stats[largest])
    # Buttons and letters may touch it. They fill a small part of their rows; the picture fills its own.
    filled = labels[top : top + height, left : left + width] == largest
    top, height = _extent(filled.mean(1), top)
    left, width = _extent(filled.mean(0), left)
    rows, columns = small.shape
    left, right = left + _EDGE if left else 0, left + width - _EDGE if left + width < columns else columns
    top, bottom = top + _EDGE if top else 0, top + height - _EDGE if top + height < rows else rows
    area = (right - left) * (bottom - top)
    if min(right - left, bottom - top) < _LEAST_SIDE or not _LEAST_SHARE * small.size <= area < small.size:
        return None
    return left, top, right, bottom


def _extent(shares: NDArray[np.float64], start: int) -> tuple[int, int]:
    """Return where the lines that are filled begin, and their number; `start` is the position of the first line."""
    filled = np.flatnonzero(shares >= _FILLED)
    return (start + int(filled[0]), int(filled[-1] - filled[0]) + 1) if filled.size else (start, 0)


def _has_plain_sides(small: NDArray[np.uint8], least: int) -> bool:
    if min(small.shape) < _LEAST_SIDE:
        return False
    found = 0
    for left, side in enumerate((small, small[::-1], small.T, small.T[::-1])):
        found += _is_plain(side[0]) or _is_plain(side[_INNER])
        # Most frames have a black border, so that three sides are enough to know.
        if found >= least or found + 3 - left < least:
            break
    return found >= least


def _is_plain(line: NDArray[np.uint8]) -> bool:
    if len(line.tobytes().translate(None, _DARK)) < _LIT_SHARE * line.size:  # a tenth of the time of a comparison
        return False
    # The difference of neighbors wraps around below zero, and is then above the limit as well.
    steps = line[1:] - line[:-1] + np.uint8(_STEP)
    return bool(np.count_nonzero(steps <= 2 * _STEP) >= _PLAIN_SHARE * steps.size)
