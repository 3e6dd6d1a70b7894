"""Geometric augmentation: crop, aspect ratio, rotation, flip; it ends in the letterbox that the service uses."""

import cv2
import numpy as np
from numpy.random import Generator

from model_build.data.records import Frame
from service.imaging.letterbox import letterbox
from service.imaging.sector import Box, full_box


def augment(pixels: Frame, sector: Box, size: int, magnitude: float, random: Generator) -> Frame:
    """Crop, resize and rotate a frame uint8 [H, W] at random; returns the network's input uint8 [S, S]."""
    if magnitude == 0:
        return letterbox(sector.cut(pixels), size)
    box = full_box(pixels) if random.random() < 0.15 * magnitude else sector
    picture = _jitter_box(box, pixels, magnitude, random).cut(pixels)
    if random.random() < 0.5:
        picture = _change_aspect(picture, float(np.exp(random.uniform(-0.3, 0.3) * magnitude)))
    return _rotate(letterbox(picture, size), magnitude, random)


def _jitter_box(box: Box, pixels: Frame, magnitude: float, random: Generator) -> Box:
    """Move each side of a box independently: inwards by up to 30 %, outwards by up to 10 % within the frame."""
    height, width = pixels.shape
    # Beta(1, 3) makes small moves frequent; each side moves inwards in 60 % of cases, outwards in 30 %.
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


def _change_aspect(picture: Frame, factor: float) -> Frame:
    """Change the aspect ratio by `factor`; one side is downscaled, so no pixel is invented."""
    height, width = picture.shape
    target = (width, max(1, round(height / factor))) if factor > 1 else (max(1, round(width * factor)), height)
    return np.asarray(cv2.resize(picture, target, interpolation=cv2.INTER_AREA), np.uint8)


def _rotate(picture: Frame, magnitude: float, random: Generator) -> Frame:
    """Flip, rotate, scale and shift inside the square; uncovered pixels are black, as around a sector."""
    if random.random() < 0.5:
        picture = np.asarray(cv2.flip(picture, 1), np.uint8)
    if random.random() < 0.15:
        picture = np.asarray(cv2.flip(picture, 0), np.uint8)
    if random.random() < 0.3:
        return picture
    size = picture.shape[0]
    angle, scale = random.normal(0, 12 * magnitude), float(np.exp(random.uniform(-0.25, 0.25) * magnitude))
    matrix = cv2.getRotationMatrix2D((size / 2, size / 2), angle, scale)
    matrix[:, 2] += random.uniform(-0.08, 0.08, 2) * magnitude * size
    return np.asarray(cv2.warpAffine(picture, matrix, (size, size), flags=cv2.INTER_LINEAR), np.uint8)
