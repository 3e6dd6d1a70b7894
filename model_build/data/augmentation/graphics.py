"""Overlays that scanners draw, and occlusions: text, rulers, calipers, acoustic shadows, erased patches."""

import string

import cv2
import numpy as np
from numpy.random import Generator

from model_build.data.records import Frame

_FONTS = (cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_PLAIN, cv2.FONT_HERSHEY_DUPLEX)
_CHARACTERS = list(string.ascii_uppercase + string.digits + " .:/")


def augment(picture: Frame, magnitude: float, random: Generator) -> Frame:
    """Draw overlays on, or occlude parts of, a picture uint8 [S, S]."""
    picture = picture.copy()
    for paint, chance in ((_text, 0.2), (_calipers, 0.2), (_ruler, 0.1), (_shadow, 0.15), (_erase, 0.2)):
        if random.random() < chance * magnitude:
            paint(picture, random)
    return picture


def _random_point(picture: Frame, random: Generator) -> tuple[int, int]:
    return int(random.integers(picture.shape[1])), int(random.integers(picture.shape[0]))


def _text(picture: Frame, random: Generator) -> None:
    left, top = _random_point(picture, random)
    step = round(picture.shape[0] * random.uniform(0.04, 0.07))
    font, scale = _FONTS[random.integers(len(_FONTS))], random.uniform(0.25, 0.5)
    for line in range(random.integers(1, 6)):
        words = "".join(random.choice(_CHARACTERS, random.integers(3, 14)))
        gray = int(random.integers(120, 256))
        cv2.putText(picture, words, (left - 20, top + line * step), font, scale, gray, 1, cv2.LINE_AA)


def _calipers(picture: Frame, random: Generator) -> None:
    start, end = _random_point(picture, random), _random_point(picture, random)
    gray = int(random.integers(150, 256))
    for point in (start, end):
        kind = cv2.MARKER_CROSS if random.random() < 0.5 else cv2.MARKER_TILTED_CROSS
        cv2.drawMarker(picture, point, gray, kind, int(random.integers(4, 10)), 1)
    if random.random() < 0.5:
        for fraction in np.linspace(0, 1, int(random.integers(10, 40))):
            dot = tuple(round(a + (b - a) * fraction) for a, b in zip(start, end, strict=True))
            cv2.circle(picture, dot, 0, gray, -1)
    elif random.random() < 0.5:
        axes = (int(random.integers(15, 90)), int(random.integers(15, 90)))
        cv2.ellipse(picture, start, axes, float(random.uniform(0, 180)), 0, 360, gray, 1, cv2.LINE_AA)


def _ruler(picture: Frame, random: Generator) -> None:
    side = picture.shape[0]
    edge = int(random.choice([1, side - 4]))
    gray = int(random.integers(100, 256))
    for position in range(0, side, int(random.integers(6, 24))):
        if edge > 1 or position % 2:
            cv2.line(picture, (edge, position), (edge + 3, position), gray, 1)
        else:
            cv2.line(picture, (position, edge), (position, edge + 3), gray, 1)


def _shadow(picture: Frame, random: Generator) -> None:
    """Darken a wedge that widens with depth: an acoustic shadow below bone, or where the probe loses contact."""
    height, width = picture.shape
    top = int(random.integers(0, height // 2))
    center, near = random.uniform(0, width), random.uniform(0.02, 0.1) * width
    far, lean = near * random.uniform(1, 2.5), random.uniform(-0.3, 0.3) * width
    corners = [(center - near, top), (center + near, top), (center + lean + far, height), (center + lean - far, height)]
    mask = np.zeros((height, width), np.float32)
    cv2.fillPoly(mask, [np.array(corners, np.int32)], 1.0)
    mask = cv2.GaussianBlur(mask, (0, 0), random.uniform(2, 6)).astype(np.float32)
    picture[:] = (picture * (1 - mask * random.uniform(0.4, 0.95))).astype(np.uint8)


def _erase(picture: Frame, random: Generator) -> None:
    """Blacken one rectangle (random erasing, Zhong et al., AAAI 2020, arXiv 1708.04896)."""
    height, width = (round(side * random.uniform(0.08, 0.3)) for side in picture.shape)
    left, top = _random_point(picture, random)
    picture[top : top + height, left : left + width] = 0
