"""Paint a heat map over its frame, and write pictures."""

import cv2
import numpy as np
from numpy.typing import NDArray

from service.imaging.letterbox import letterbox_box
from service.imaging.sector import Box, size_within
from service.schemas.answers import PictureType

_STRENGTH = 0.65  # opacity of the color where the evidence is strongest; the tissue under it must stay visible
_WORKING_SIDE = 256  # cubic up to this size, where the map is smooth, then linear: a tenth of the cost
_JPEG_QUALITY = 85  # a full-size PNG costs more time than the model, this JPEG a twentieth of it
_PNG_COMPRESSION = 1


def _premultiplied_colors() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return tables by heat 0..255: the color to add, uint8 [256, 1, 3], and the weight of the gray, uint8 [256]."""
    heat = np.arange(256, dtype=np.uint8)
    # Inferno's lightness grows evenly with the heat, also for color-blind viewers and in a gray print.
    colors = cv2.applyColorMap(heat[:, None], cv2.COLORMAP_INFERNO)
    share = heat / 255 * _STRENGTH
    return np.rint(colors * share[:, None, None]).astype(np.uint8), np.rint(255 * (1 - share)).astype(np.uint8)


_COLORS, _GRAY_SHARE = _premultiplied_colors()


def upsample_heatmap(heatmap: NDArray[np.float32], crop: Box, size: int) -> NDArray[np.float32]:
    """Map a heat map float32 [h, w], 0..1, over the network's square of side `size` onto the pixels of the crop.

    Returns
    -------
    float32 [crop.height, crop.width], 0..1
    """
    box = letterbox_box(crop.height, crop.width, size)
    width, height = size_within(_WORKING_SIDE, crop.height, crop.width)
    cells_y, cells_x = heatmap.shape[0] / size, heatmap.shape[1] / size  # heat map cells per pixel of the square
    scale_x, scale_y = cells_x * box.width / width, cells_y * box.height / height
    # Centers map to centers: the center of a pixel, and of a cell, is half a unit from its edge.
    offset_x, offset_y = cells_x * box.left + scale_x / 2 - 0.5, cells_y * box.top + scale_y / 2 - 0.5
    to_cells = np.array([[scale_x, 0, offset_x], [0, scale_y, offset_y]])
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    smooth = cv2.warpAffine(heatmap, to_cells, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    grown = cv2.resize(np.clip(smooth, 0, 1), (crop.width, crop.height), interpolation=cv2.INTER_LINEAR)
    return grown.astype(np.float32, copy=False)


def paint(pixels: NDArray[np.uint8], heatmap: NDArray[np.float32], crop: Box, size: int) -> NDArray[np.uint8]:
    """Paint a heat map over its frame, uint8 [H, W]; the other parameters are those of `upsample_heatmap`.

    Color and opacity grow with the evidence. Without evidence, and outside the crop, the frame stays gray.

    Returns
    -------
    uint8 [H, W, 3] in blue, green, red
    """
    picture = cv2.cvtColor(pixels, cv2.COLOR_GRAY2BGR)
    heat = np.rint(upsample_heatmap(heatmap, crop, size) * 255).astype(np.uint8)
    gray = cv2.multiply(crop.cut(pixels), cv2.LUT(heat, _GRAY_SHARE), scale=1 / 255)
    painted = cv2.add(cv2.cvtColor(gray, cv2.COLOR_GRAY2BGR), cv2.applyColorMap(heat, _COLORS))
    picture[crop.top : crop.bottom, crop.left : crop.right] = painted
    return picture.astype(np.uint8, copy=False)


def encode_picture(picture: NDArray[np.uint8], media_type: PictureType) -> bytes:
    """Return a picture uint8 [H, W, 3] (blue, green, red) or gray [H, W] as a JPEG or PNG file."""
    if media_type == "image/png":
        return cv2.imencode(".png", picture, [cv2.IMWRITE_PNG_COMPRESSION, _PNG_COMPRESSION])[1].tobytes()
    return cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1].tobytes()
