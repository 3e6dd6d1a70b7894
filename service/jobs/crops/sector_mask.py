"""Cut out the insonated sector itself, without what else is in its bounding box."""

import cv2
import numpy as np
from numpy.typing import NDArray

from service.imaging.letterbox import Crop
from service.imaging.sector import Box, size_within

_WORKING_SIDE = 256  # pixels, as for the search of the sector
_BLACK = 6
_TEXT_STROKE = 5  # working pixels; thinner things, such as text, are not tissue
_MIN_SHARE = 0.2  # of the box that the sector fills


def sector_png(pixels: NDArray[np.uint8], crop: Crop) -> bytes | None:
    """Return the sector of a frame [H, W] as PNG, with black around it; None where none was found or stands out."""
    sector = None if crop.source == "none" else cut_sector(pixels, crop.box)
    return None if sector is None else cv2.imencode(".png", sector)[1].tobytes()


def cut_sector(pixels: NDArray[np.uint8], box: Box) -> NDArray[np.uint8] | None:
    """Return the sector in a box of a frame [H, W], with black around it; None where it does not stand out.

    The sector is the convex hull of the largest piece of tissue. Text that lies on it stays.
    """
    part = box.cut(pixels)
    small = cv2.resize(part, size_within(_WORKING_SIDE, *part.shape), interpolation=cv2.INTER_AREA)
    lit = (cv2.blur(small, (3, 3)) > _BLACK).astype(np.uint8)
    tissue = cv2.morphologyEx(lit, cv2.MORPH_OPEN, np.ones((_TEXT_STROKE, _TEXT_STROKE), np.uint8))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(tissue, connectivity=8)
    if count < 2:
        return None
    largest = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    points = cv2.findNonZero((labels == largest).astype(np.uint8))
    mask = np.zeros_like(small)
    cv2.fillConvexPoly(mask, cv2.convexHull(points), 255)
    if np.count_nonzero(mask) < _MIN_SHARE * mask.size:
        return None
    height, width = part.shape
    whole = cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST)
    return np.where(whole > 0, part, np.uint8(0)).astype(np.uint8)
