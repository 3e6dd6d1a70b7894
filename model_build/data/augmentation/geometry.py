"""Shape as other hands would have framed it: crop, aspect, rotation, flip. It ends in the `fit` that serving uses."""

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from service.imaging.letterbox import letterbox
from service.imaging.sector import Box, full_box

Picture = NDArray[np.uint8]


def augment(pixels: Picture, sector: Box, size: int, magnitude: float, random: Generator) -> Picture:
    """Vary the framing of a frame uint8 [H, W] whose sector is known; gives the network's input uint8 [S, S]."""
    if magnitude == 0:
        return letterbox(sector.cut(pixels), size)
    box = full_box(pixels) if random.random() < 0.15 * magnitude else sector
    picture = _moved(box, pixels, magnitude, random).cut(pixels)
    if random.random() < 0.5:
        picture = _stretched(picture, float(np.exp(random.uniform(-0.3, 0.3) * magnitude)))
    return _turned(letterbox(picture, size), magnitude, random)


def _moved(box: Box, pixels: Picture, magnitude: float, random: Generator) -> Box:
    """Each side moves on its own, outwards as far as there is frame, inwards by up to a quarter: tight, loose, cut."""
    height, width = pixels.shape
    inward = random.beta(1, 3, 4) * 0.30 * magnitude * (random.random(4) < 0.6)
    outward = random.uniform(0, 0.10, 4) * magnitude * (random.random(4) < 0.3)
    left, top, right, bottom = inward - outward
    moved = Box(
        max(0, round(box.left + left * box.width)),
        max(0, round(box.top + top * box.height)),
        min(width, round(box.right - right * box.width)),
        min(height, round(box.bottom - bottom * box.height)),
    )
    return moved if min(moved.width, moved.height) >= 16 else box


def _stretched(picture: Picture, factor: float) -> Picture:
    """Change the aspect by `factor`, always by shrinking one side: nothing is made up."""
    height, width = picture.shape
    target = (width, max(1, round(height / factor))) if factor > 1 else (max(1, round(width * factor)), height)
    return np.asarray(cv2.resize(picture, target, interpolation=cv2.INTER_AREA), np.uint8)


def _turned(picture: Picture, magnitude: float, random: Generator) -> Picture:
    """Mirror, turn, scale and shift inside the square; what comes into view is black, as around a sector."""
    if random.random() < 0.5:
        picture = np.asarray(cv2.flip(picture, 1), np.uint8)
    if random.random() < 0.15:
        picture = np.asarray(cv2.flip(picture, 0), np.uint8)
    if random.random() < 0.3:
        return picture
    size = picture.shape[0]
    matrix = cv2.getRotationMatrix2D(
        (size / 2, size / 2), random.normal(0, 12 * magnitude), float(np.exp(random.uniform(-0.25, 0.25) * magnitude))
    )
    matrix[:, 2] += random.uniform(-0.08, 0.08, 2) * magnitude * size
    return np.asarray(cv2.warpAffine(picture, matrix, (size, size), flags=cv2.INTER_LINEAR), np.uint8)
