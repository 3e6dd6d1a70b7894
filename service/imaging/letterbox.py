"""Crop a frame and fit it into the network's square input. Training and serving both call this module.

One module resizes for the network because resizing is where train/serve skew hides: on speckle, area averaging and
linear interpolation differ by several gray levels.
"""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from service.imaging.sector import Box, find_sector, full_box
from service.schemas.answers import CropSource
from service.schemas.manifest import Preprocessing


class Crop(NamedTuple):
    """The part of a frame that the network sees, and what determined it."""

    box: Box
    source: CropSource


class Letterboxed(NamedTuple):
    """The network's input uint8 [S, S], and the crop of the frame that it shows."""

    pixels: NDArray[np.uint8]
    crop: Crop


def crop_and_letterbox(
    pixels: NDArray[np.uint8], preprocessing: Preprocessing, region: Box | None = None
) -> Letterboxed:
    """Crop a gray frame, uint8 [H, W], and fit the crop into the network's square.

    `region` is the tissue region that the file declares, if it declares one. It replaces the sector search.
    """
    crop = find_crop(pixels, preprocessing, region)
    return Letterboxed(letterbox(crop.box.cut(pixels), preprocessing.size), crop)


def find_crop(pixels: NDArray[np.uint8], preprocessing: Preprocessing, region: Box | None = None) -> Crop:
    """Return the part of `pixels` [H, W] that the network sees; parameters as for `crop_and_letterbox`."""
    whole = _zoom(full_box(pixels), preprocessing.zoom)
    if preprocessing.crop == "none":
        return Crop(whole, "none")
    box = _zoom(find_sector(pixels) if region is None else region, preprocessing.zoom)
    if box == whole:  # the sector or the region fills the frame: nothing was cropped
        return Crop(box, "none")
    return Crop(box, "sector" if region is None else "region")


def _zoom(box: Box, zoom: float) -> Box:
    """Return the middle of a box, with no side longer than its longer side divided by `zoom`."""
    longest = max(1, round(max(box.width, box.height) / zoom))
    width, height = min(box.width, longest), min(box.height, longest)
    left, top = box.left + (box.width - width) // 2, box.top + (box.height - height) // 2
    return Box(left, top, left + width, top + height)


def letterbox(pixels: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Fit a gray picture, uint8 [H, W], into the middle of a black square of side `size`; the aspect ratio stays.

    Area averaging shrinks, linear interpolation enlarges.
    """
    height, width = pixels.shape
    box = letterbox_box(height, width, size)
    shrink = size < max(height, width)
    resized = cv2.resize(pixels, (box.width, box.height), interpolation=cv2.INTER_AREA if shrink else cv2.INTER_LINEAR)
    square = np.zeros((size, size), np.uint8)
    square[box.top : box.bottom, box.left : box.right] = resized
    return square


def letterbox_box(height: int, width: int, size: int) -> Box:
    """Return where `letterbox` puts a picture of `height` x `width` in the square of side `size`."""
    scale = size / max(height, width)
    fitted_width, fitted_height = max(1, round(width * scale)), max(1, round(height * scale))
    left, top = (size - fitted_width) // 2, (size - fitted_height) // 2
    return Box(left, top, left + fitted_width, top + fitted_height)
