"""Color flow: what Doppler paints over the tissue, told apart from the tint and the graphics of a plain frame.

The network sees gray levels alone, where flow looks like bright tissue; so flow is looked for here, in the colors
that the file brings. A tint gives every pixel of one brightness one color. Flow does not: at each brightness some
pixels are far more colorful than the tissue's. Lines and letters are colored too, but thin.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from service.imaging.sector import Box

Colors = NDArray[np.uint8]

_SIDE = 192  # of the reduced copy: its pixels are wide enough that a caliper's line is one of them
_GRAY = 8  # Cb and Cr this near to 128 are the rounding of gray
_VIVID = 28  # further from gray than the tissue of the same brightness, in levels of Cb or Cr
_TISSUE = 0.2  # of the pixels of one brightness: at least so many are tissue
_STROKE = 3  # pixels of the reduced copy; what is thinner is a line
_LEVELS = 16  # of brightness
FLOW = 0.02  # of the crop: flow that covers more is what the frame is about


def reduce_colors(colors: Colors) -> Colors | None:
    """A copy of a picture, uint8 [H, W, 3] in blue, green, red, no side longer than 192; None where it is all gray."""
    height, width = colors.shape[:2]
    scale = _SIDE / max(height, width)
    if scale < 1:
        size = max(1, round(width * scale)), max(1, round(height * scale))
        colors = np.asarray(cv2.resize(colors, size, interpolation=cv2.INTER_AREA), np.uint8)
    return colors if _chroma(colors)[1].max() > _GRAY else None


def flow_share(colors: Colors, crop: Box, height: int, width: int) -> float:
    """How much of a crop is painted with color flow.

    Parameters
    ----------
    colors
        The frame, reduced: uint8 [h, w, 3] in OpenCV's order.
    crop, height, width
        The crop within the frame of `height` x `width`, whose aspect `colors` shares.

    Returns
    -------
    0..1
    """
    brightness, chroma = _chroma(colors)
    level = brightness >> 4
    counts = np.bincount((level * 256 + chroma).ravel(), minlength=_LEVELS * 256).reshape(_LEVELS, 256).cumsum(1)
    tint = (counts < _TISSUE * counts[:, -1:]).sum(1)
    vivid = (chroma - tint[level] > _VIVID).astype(np.uint8)
    patches = cv2.morphologyEx(vivid, cv2.MORPH_OPEN, np.ones((_STROKE, _STROKE), np.uint8))
    rows, columns = colors.shape[0] / height, colors.shape[1] / width
    left, right = int(crop.left * columns), int(np.ceil(crop.right * columns))
    top, bottom = int(crop.top * rows), int(np.ceil(crop.bottom * rows))
    return float(patches[top:bottom, left:right].mean())


def _chroma(colors: Colors) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Brightness 0..255, and how far from gray, 0..128, of each pixel."""
    luma_chroma = cv2.cvtColor(colors, cv2.COLOR_BGR2YCrCb).astype(np.int64)
    return luma_chroma[..., 0], np.abs(luma_chroma[..., 1:] - 128).max(2)
