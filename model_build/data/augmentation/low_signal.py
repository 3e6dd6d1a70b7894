"""Low-signal augmentation: the dark gain and the raised noise floor of weak scanners and deep targets."""

import cv2
import numpy as np
from numpy.random import Generator

from model_build.data.negatives.scan_geometry import outline
from model_build.data.records import Frame

_CHANCE = 0.2  # of each kind, at magnitude 1


def augment(picture: Frame, magnitude: float, random: Generator) -> Frame:
    """Darken a picture uint8 [S, S], raise the noise of its insonated area, or both."""
    if random.random() < _CHANCE * magnitude:
        picture = np.asarray(picture * random.uniform(0.3, 0.7), np.uint8)
    if random.random() < _CHANCE * magnitude:
        picture = _raise_noise_floor(picture, random)
    return picture


def _raise_noise_floor(picture: Frame, random: Generator) -> Frame:
    """Show noise wherever the echo is weaker: it rises with depth, as time-gain compensation amplifies it."""
    height, width = picture.shape
    grain = random.uniform(1, 2.5)
    coarse = random.rayleigh(random.uniform(8, 28), (max(1, round(height / grain)), max(1, round(width / grain))))
    noise = cv2.resize(coarse.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    ramp = np.linspace(random.uniform(0.2, 1), 1, height, dtype=np.float32)[:, None]
    floor = np.clip(noise * ramp, 0, 255) * outline(picture)
    return np.asarray(np.maximum(picture, floor), np.uint8)
