"""Find color flow: the color Doppler signal over the tissue, as opposed to a tint and to graphics.

The network sees gray levels only, and there flow looks like bright tissue. The file's colors show the difference. A
tint gives all pixels of one brightness one color. With flow, some pixels of each brightness are far more colorful than
the tissue. Lines and letters can be colored as well, but they are thin.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from service.imaging.sector import Box, downscale, size_within

Gray = NDArray[np.uint8]
Colors = NDArray[np.uint8]

_SIDE = 192  # pixels of the reduced copy; a caliper's line is one pixel wide in it
_FROM_GRAY = np.abs(np.arange(256) - 128).astype(np.uint8)  # by the level of Cb or Cr
_GRAY = 8  # levels of Cb or Cr; a smaller distance from 128 is the rounding of gray
_VIVID = 28  # levels of Cb or Cr; flow is this much further from gray than tissue of the same brightness
_TISSUE = 0.2  # at least this share of the pixels of one brightness is tissue
_STROKE = 3  # pixels of the reduced copy; a thinner patch is a line
_LEVELS = 16  # of brightness
FLOW = 0.02  # share of the crop; a frame with more flow is a Doppler frame


def reduce_colors(colors: Colors) -> Colors | None:
    """Shrink a picture, uint8 [H, W, 3] in blue, green, red, to at most 192 pixels per side; None where it is gray."""
    colors = downscale(colors, *size_within(_SIDE, *colors.shape[:2]))
    return colors if _chroma(colors)[1].max() > _GRAY else None


def flow_share(colors: Colors, crop: Box, height: int, width: int) -> float:
    """Return the share, 0..1, of a crop that color flow covers.

    `crop` lies in the frame of `height` x `width` pixels; `colors` is the reduced copy that `reduce_colors` returned.
    """
    # The tint: for each of 16 brightness levels, the chroma that a fifth of its pixels do not exceed.
    brightness, chroma = _chroma(colors)
    level = brightness >> 4
    cells = (level.astype(np.intp) * 256 + chroma).ravel()
    counts = np.bincount(cells, minlength=_LEVELS * 256).reshape(_LEVELS, 256).cumsum(1)
    tint = (counts < _TISSUE * counts[:, -1:]).sum(1).astype(np.int16)
    # Flow is more colorful than the tint; an opening removes lines and letters.
    vivid = (chroma - tint[level] > _VIVID).astype(np.uint8)
    patches = cv2.morphologyEx(vivid, cv2.MORPH_OPEN, np.ones((_STROKE, _STROKE), np.uint8))
    rows, columns = colors.shape[0] / height, colors.shape[1] / width
    left, right = int(crop.left * columns), int(np.ceil(crop.right * columns))
    top, bottom = int(crop.top * rows), int(np.ceil(crop.bottom * rows))
    return float(patches[top:bottom, left:right].mean())


def _chroma(colors: Colors) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return the brightness of each pixel, 0..255, and its distance from gray, 0..128."""
    brightness, red, blue = cv2.split(cv2.cvtColor(colors, cv2.COLOR_BGR2YCrCb))
    return _uint8(brightness), _uint8(cv2.max(cv2.LUT(red, _FROM_GRAY), cv2.LUT(blue, _FROM_GRAY)))


def _uint8(pixels: NDArray[np.generic]) -> NDArray[np.uint8]:
    return pixels.astype(np.uint8, copy=False)
