"""Intensity augmentation: gain, gamma, time-gain compensation, CLAHE, the histogram of another frame."""

import cv2
import numpy as np
from numpy.random import Generator

from model_build.data.records import Frame


def augment(picture: Frame, reference: Frame, magnitude: float, random: Generator) -> Frame:
    """Change the gray levels of a picture uint8 [S, S]; `reference` is another frame, uint8 [H, W]."""
    if random.random() < 0.25 * magnitude:
        picture = _match_histogram(picture, reference, random.uniform(0.3, 1.0))
    if random.random() < 0.1 * magnitude:
        tiles = cv2.createCLAHE(clipLimit=random.uniform(1, 4), tileGridSize=(4, 4))
        picture = np.asarray(tiles.apply(picture), np.uint8)
    picture = np.asarray(cv2.LUT(picture, _gray_level_curve(magnitude, random)), np.uint8)
    if random.random() < 0.4 * magnitude:
        picture = _time_gain_compensation(picture, magnitude, random)
    return picture


def _gray_level_curve(magnitude: float, random: Generator) -> Frame:
    """Return a lookup table uint8 [256] of random gamma, gain and black level."""
    levels = np.linspace(0, 1, 256)
    levels = levels ** np.exp(random.normal(0, 0.35 * magnitude))
    levels = levels * np.exp(random.normal(0, 0.25 * magnitude))
    offset = random.normal(0, 0.04 * magnitude) if random.random() < 0.5 else 0.0
    return np.asarray((np.clip(levels + offset, 0, 1) * 255).round(), np.uint8)


def _match_histogram(picture: Frame, reference: Frame, weight: float) -> Frame:
    """Move the gray levels of tissue towards the histogram of `reference`, by `weight` in 0..1; black stays black."""
    # Histogram matching by cumulative distributions; levels up to 4 are background around the sector.
    own = np.cumsum(np.bincount(picture[picture > 4], minlength=256))
    other = np.cumsum(np.bincount(reference[reference > 4], minlength=256))
    if own[-1] == 0 or other[-1] == 0:
        return picture
    mapped = np.interp(own / own[-1], other / other[-1], np.arange(256))
    mapped[:5] = np.arange(5)
    curve = (1 - weight) * np.arange(256) + weight * mapped
    return np.asarray(cv2.LUT(picture, curve.round().astype(np.uint8)), np.uint8)


def _time_gain_compensation(picture: Frame, magnitude: float, random: Generator) -> Frame:
    """Multiply by a smooth random gain: time-gain compensation along the depth, uneven contact along the width."""
    nodes = np.exp(random.normal(0, 0.3 * magnitude, (5, 3))).astype(np.float32)
    field = cv2.resize(nodes, picture.shape[::-1], interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.clip(picture * field, 0, 255), np.uint8)
