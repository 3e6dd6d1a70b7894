"""Recognize a frame of two fields, recorded one after the other, and keep the first.

Interlaced video stores the even lines of one moment and the odd lines of the next. What moves has a comb at its edges
then, which the network was never trained on. FFmpeg's flag is not at hand, and often wrong; the pixels show it.
"""

import cv2
import numpy as np

from service.imaging.gray import Gray

_BLOCK = 16  # pixels
_COMBED = 1.5
"""Ratio of the differences between neighboring lines to those between lines of one field; below 1 without a comb."""
_SHARE = 0.02  # of the blocks with structure; a small moving part is enough
_STRUCTURE = 6.0  # gray levels; a mean difference below it is noise of the compression
_MIN_LINES = 200  # of a frame; no interlaced video has fewer


def is_combed(pixels: Gray) -> bool:
    """Return whether parts of a frame [H, W] have the comb of two fields."""
    height, width = pixels.shape
    if height < _MIN_LINES or width < _BLOCK:
        return False
    size = width // _BLOCK, (height - 2) // _BLOCK  # whole blocks: `resize` is fast then
    pixels, rows = pixels[:, : size[0] * _BLOCK], size[1] * _BLOCK
    near = cv2.absdiff(pixels[:rows], pixels[1 : rows + 1])
    same = cv2.absdiff(pixels[:rows], pixels[2 : rows + 2])
    near_mean, same_mean = (cv2.resize(each, size, interpolation=cv2.INTER_AREA).astype(float) for each in (near, same))
    structured = near_mean > _STRUCTURE
    combed = structured & (near_mean > _COMBED * same_mean)
    return int(combed.sum()) > max(4.0, _SHARE * int(structured.sum()))


def keep_first_field(picture: Gray) -> Gray:
    """Return a picture [H, W] or [H, W, 3] of its even lines alone; each odd line is the mean of its neighbors."""
    height, width = picture.shape[:2]
    # Linear interpolation between the centers of the even lines, which become lines 0, 2, 4 again.
    field = np.ascontiguousarray(picture[::2])
    shift = np.array([[1, 0, 0], [0, 2, 0]], np.float64)
    full = cv2.warpAffine(field, shift, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(full, np.uint8)
