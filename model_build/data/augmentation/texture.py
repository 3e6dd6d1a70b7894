"""Texture augmentation: speckle, blur, resolution, noise and JPEG artifacts of other scanners and archives."""

import cv2
import numpy as np
from numpy.random import Generator

from model_build.data.records import Frame


def augment(picture: Frame, magnitude: float, random: Generator) -> Frame:
    """Change the texture of a picture uint8 [S, S]."""
    if random.random() < 0.35 * magnitude:
        picture = _speckle(picture, magnitude, random)
    if random.random() < 0.3 * magnitude:
        picture = _blur_or_sharpen(picture, random)
    if random.random() < 0.3 * magnitude:
        picture = _lower_resolution(picture, random)
    if random.random() < 0.15 * magnitude:
        noise = random.normal(0, random.uniform(1, 10) * magnitude, picture.shape)
        picture = np.clip(picture + noise, 0, 255).astype(np.uint8)
    if random.random() < 0.2 * magnitude:
        picture = _compress(picture, random)
    return picture


def _speckle(picture: Frame, magnitude: float, random: Generator) -> Frame:
    """Multiply by noise of random grain size, finer along the beam than across it."""
    height, width = picture.shape
    grain = random.uniform(1, 3)
    coarse = random.standard_normal((round(height / grain), round(width / (grain * random.uniform(1, 2)))))
    noise = cv2.resize(coarse.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    return np.clip(picture * (1 + noise * random.uniform(0.1, 0.45) * magnitude), 0, 255).astype(np.uint8)


def _blur_or_sharpen(picture: Frame, random: Generator) -> Frame:
    blurred = cv2.GaussianBlur(picture, (0, 0), random.uniform(0.4, 1.8))
    if random.random() < 0.6:
        return np.asarray(blurred, np.uint8)
    gain = random.uniform(0.3, 1.2)
    return np.asarray(cv2.addWeighted(picture, 1 + gain, blurred, -gain, 0), np.uint8)


def _lower_resolution(picture: Frame, random: Generator) -> Frame:
    height, width = picture.shape
    factor = random.uniform(0.35, 0.9)
    small = cv2.resize(picture, (round(width * factor), round(height * factor)), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def _compress(picture: Frame, random: Generator) -> Frame:
    _, coded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, int(random.integers(15, 80))])
    return np.asarray(cv2.imdecode(coded, cv2.IMREAD_GRAYSCALE), np.uint8)
