"""A frame becomes the network's input. Training and serving both come through here, so they cannot differ."""

from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from service.imaging.sector import Box, find_sector, full_box


class Preprocessing(BaseModel):
    """How a frame becomes the network's input; stored in the model package, so that a model brings its own."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int = Field(ge=32, le=1024, description="Side S of the square network input, in pixels.")
    crop: Literal["sector", "none"] = Field(description="Cut the frame to its insonated sector first, or do not.")
    zoom: float = Field(
        default=1.0,
        ge=1,
        le=2,
        description="How much larger the crop's longer side is than the square; what overflows is cut at both ends.",
    )


CropSource = Literal["region", "sector", "none"]


def choose_crop(pixels: NDArray[np.uint8], preprocessing: Preprocessing, region: Box | None = None) -> Box:
    """The box of `pixels` [H, W] that the network sees; `region` is where the scanner says that the tissue is."""
    if preprocessing.crop == "none":
        return _zoomed(full_box(pixels), preprocessing.zoom)
    return _zoomed(find_sector(pixels) if region is None else region, preprocessing.zoom)


def crop_source(crop: Box, pixels: NDArray[np.uint8], preprocessing: Preprocessing, region: Box | None) -> CropSource:
    """What gave a crop: the scanner's region, the sector that was found, or nothing, as it is all of the frame."""
    if crop == _zoomed(full_box(pixels), preprocessing.zoom):
        return "none"
    return "sector" if region is None else "region"


def _zoomed(box: Box, zoom: float) -> Box:
    """The middle of a box: no side longer than the longer one divided by `zoom`."""
    longest = max(1, round(max(box.width, box.height) / zoom))
    width, height = min(box.width, longest), min(box.height, longest)
    left, top = box.left + (box.width - width) // 2, box.top + (box.height - height) // 2
    return Box(left, top, left + width, top + height)


def letterbox(pixels: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Fit a gray picture into a black square, its aspect kept, centered.

    Area averaging shrinks, linear interpolation enlarges: on speckle the two differ by several gray levels, which is
    why nobody but this function resizes for the network.

    Parameters
    ----------
    pixels
        uint8 [H, W].
    size
        The side S of the square.

    Returns
    -------
    uint8 [S, S]
    """
    height, width = pixels.shape
    box = letterbox_box(height, width, size)
    shrink = size < max(height, width)
    resized = cv2.resize(pixels, (box.width, box.height), interpolation=cv2.INTER_AREA if shrink else cv2.INTER_LINEAR)
    square = np.zeros((size, size), np.uint8)
    square[box.top : box.bottom, box.left : box.right] = resized
    return square


def letterbox_box(height: int, width: int, size: int) -> Box:
    """Where `fit` puts a picture of `height` x `width` in the square of side `size`."""
    scale = size / max(height, width)
    fitted_width, fitted_height = max(1, round(width * scale)), max(1, round(height * scale))
    left, top = (size - fitted_width) // 2, (size - fitted_height) // 2
    return Box(left, top, left + fitted_width, top + fitted_height)


def prepare(
    pixels: NDArray[np.uint8], preprocessing: Preprocessing, region: Box | None = None
) -> tuple[NDArray[np.uint8], Box]:
    """Crop a gray frame uint8 [H, W] and fit it: the network's input uint8 [S, S], and the crop it shows."""
    crop = choose_crop(pixels, preprocessing, region)
    return letterbox(crop.cut(pixels), preprocessing.size), crop
