"""Turn a frame into the network's input: crop it, fit it into a square. Training and serving both call this module.

One module resizes for the network because resizing is where train/serve skew hides: on speckle, area averaging and
linear interpolation differ by several gray levels.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from service.imaging.color import Gray, flow_share
from service.imaging.frame import Frame, FrameMetadata
from service.imaging.sector import Box, downscale, find_sector, full_box, size_within
from service.schemas.answers import CropSource
from service.schemas.manifest import Preprocessing

Picture = Literal["none", "thumbnail", "whole"]
"""What comes with the network's input: nothing more, a copy of at most 256 pixels per side, or the frame itself."""

CELLS = 8
"""Cells per side of the copy that shows cuts; speckle and small movements of the probe vanish in them."""

_THUMBNAIL_SIDE = 256


class Crop(NamedTuple):
    """The part of a frame that the network sees, and what determined it."""

    box: Box
    source: CropSource


class Letterboxed(NamedTuple):
    """The network's input uint8 [S, S], and the crop of the frame that it shows."""

    pixels: NDArray[np.uint8]
    crop: Crop


class Preparation(NamedTuple):
    """How frames are prepared: the network's input, and what comes with it."""

    preprocessing: Preprocessing
    picture: Picture = "none"

    def picture_size(self, height: int, width: int) -> tuple[int, int] | None:
        """Return height and width of the picture of a frame; None without one."""
        if self.picture == "thumbnail":
            width, height = size_within(_THUMBNAIL_SIDE, height, width)
        return None if self.picture == "none" else (height, width)


@dataclass(frozen=True, slots=True, eq=False)
class PreparedFrame:
    """What the analysis needs of a frame.

    Attributes
    ----------
    metadata
        The facts about the frame.
    view
        The network's input uint8 [S, S].
    crop
        The part of the frame that it shows.
    flow
        The share, 0..1, of the crop that color flow covers; 0 for a gray frame.
    cells
        A copy uint8 [8, 8] of a frame among several, for cut detection; None for a still.
    picture
        uint8 [h, w]: what the preparation asks for.
    """

    metadata: FrameMetadata
    view: Gray
    crop: Crop
    flow: float = 0.0
    cells: Gray | None = None
    picture: Gray | None = None


def prepare(frame: Frame, preparation: Preparation) -> PreparedFrame:
    """Return what the analysis needs of a frame."""
    pixels = frame.pixels
    view, crop = crop_and_letterbox(pixels, preparation.preprocessing, frame.region)
    return PreparedFrame(
        metadata=frame.metadata,
        view=view,
        crop=crop,
        flow=0.0 if frame.colors is None else flow_share(frame.colors, crop.box, *pixels.shape),
        cells=None if frame.count == 1 else downscale(pixels, CELLS, CELLS),
        picture=_picture(pixels, preparation.picture),
    )


def _picture(pixels: Gray, picture: Picture) -> Gray | None:
    if picture == "thumbnail":
        return fit_thumbnail(pixels)
    return pixels if picture == "whole" else None


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


def fit_thumbnail(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Shrink a picture uint8 [H, W] to at most 256 pixels per side; keep its aspect ratio, never enlarge."""
    return downscale(picture, *size_within(_THUMBNAIL_SIDE, *picture.shape[:2]))
