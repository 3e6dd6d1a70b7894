"""Paint color Doppler into gray frames."""

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from model_build.data.records import Frame

Colors = NDArray[np.uint8]


def with_flow(frame: Frame, random: Generator) -> Colors:
    """Return a gray frame [H, W] with a box of half its sides in which red and blue show flow: uint8 [H, W, 3]."""
    painted, (height, width) = cv2.merge([frame] * 3).astype(np.uint8, copy=False), frame.shape
    speed = cv2.GaussianBlur(random.normal(0, 1, (height, width)).astype(np.float32), (0, 0), max(height, width) / 25)
    box = np.zeros_like(frame, bool)
    top, left = int(random.integers(height // 2)), int(random.integers(width // 2))
    box[top : top + height // 2, left : left + width // 2] = True
    strong = box & (np.abs(speed) > speed.std())
    relative = np.abs(speed) / np.abs(speed).max()
    towards = np.stack([relative * 60, relative * 160, 100 + relative * 155], -1)
    away = towards[..., ::-1]
    painted[strong] = np.where((speed > 0)[..., None], towards, away)[strong].astype(np.uint8)
    return painted


def with_gray_flow(frame: Frame, random: Generator) -> Frame:
    """Return a frame with painted flow as an archive without colors stores it, uint8 [H, W]."""
    return np.asarray(cv2.cvtColor(with_flow(frame, random), cv2.COLOR_BGR2GRAY), np.uint8)
