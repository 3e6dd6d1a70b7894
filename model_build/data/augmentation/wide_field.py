"""Wide-field augmentation: a small fetus in a wide field, and two bodies in one frame."""

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from model_build.data.negatives.scan_geometry import outline
from model_build.data.records import Frame

_CHANCE, _TWO_BODIES = 0.25, 0.35  # of a wide field at magnitude 1; of a second body in it

Floats = NDArray[np.float64]


def augment(picture: Frame, magnitude: float, random: Generator) -> Frame:
    """Shrink what a picture uint8 [S, S] shows into a part of its insonated area, once or twice.

    The second body is the first one, turned and often mirrored: twins show one plane twice, so the label stays true.
    """
    if random.random() >= _CHANCE * magnitude:
        return picture
    area = outline(picture)
    shown = _surroundings(picture, random)
    # The body stays in the area: it moves by at most the part of the area's sides that it leaves free.
    sides = np.array([np.ptp(np.flatnonzero(area.any(axis))) for axis in (0, 1)], np.float64)
    if random.random() >= _TWO_BODIES:
        scale = random.uniform(0.45, 0.8)
        moved = random.uniform(-0.5, 0.5, 2) * (1 - scale) * sides
        return _shown(_show(shown, picture, area, _placed(area, scale, 0, moved)), area)
    scale, offset = random.uniform(0.4, 0.6), random.choice([-0.2, 0.2])
    down = random.uniform(-0.3, 0.3, 2) * (1 - scale)
    shown = _show(shown, picture, area, _placed(area, scale, 0, np.array((offset, down[0])) * sides))
    scale, angle = scale * random.uniform(0.8, 1), random.uniform(-60, 60)
    other, own = (picture[:, ::-1].copy(), area[:, ::-1].copy()) if random.random() < 0.5 else (picture, area)
    return _shown(_show(shown, other, own, _placed(own, scale, angle, np.array((-offset, down[1])) * sides)), area)


def _surroundings(picture: Frame, random: Generator) -> Floats:
    """Return tissue without anatomy: a strong blur of the picture with speckle."""
    blurred = cv2.GaussianBlur(picture.astype(np.float32), (0, 0), 0.1 * picture.shape[0])
    speckle = cv2.GaussianBlur(
        random.standard_normal(picture.shape).astype(np.float32), (0, 0), random.uniform(0.7, 1.5)
    )
    return np.asarray(blurred * random.uniform(0.2, 0.8) * np.clip(1 + 1.2 * speckle, 0, None), np.float64)


def _placed(area: NDArray[np.bool_], scale: float, angle: float, moved: Floats) -> Floats:
    """Return the matrix that shrinks and turns a picture about the middle of its area, then moves it by x and y."""
    x, y = (float(np.flatnonzero(area.any(axis)).mean()) for axis in (0, 1))
    matrix = np.asarray(cv2.getRotationMatrix2D((x, y), angle, scale), np.float64)
    matrix[:, 2] += moved
    return matrix


def _show(shown: Floats, picture: Frame, area: NDArray[np.bool_], matrix: Floats) -> Floats:
    """Blend a moved picture into `shown` where its area is, with a soft edge."""
    size = picture.shape[::-1]
    blurred = cv2.GaussianBlur(area.astype(np.float32), (0, 0), 0.05 * size[0])
    soft = np.clip(2 * blurred - 1, 0, 1).astype(np.float32)  # fades inside of the area
    mask = cv2.warpAffine(soft, matrix, size, flags=cv2.INTER_LINEAR)
    moved = cv2.warpAffine(picture, matrix, size, flags=cv2.INTER_AREA)
    return np.asarray(shown * (1 - mask) + moved * mask, np.float64)


def _shown(picture: Floats, area: NDArray[np.bool_]) -> Frame:
    return np.asarray(np.clip(picture, 0, 255) * area, np.uint8)
