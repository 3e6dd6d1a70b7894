"""Screenshots of a frame: on plain and other surrounds, and in windows."""

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

Gray = np.ndarray[Any, np.dtype[np.uint8]]


def around(pixels: Gray, level: int, width: int) -> Gray:
    return np.pad(pixels, width, constant_values=level)


def window(pixels: Gray, title: int = 220, letters: int = 20, panel: int = 0) -> Gray:
    """Return the frame in a window with a title bar, buttons, a status bar and, where `panel` has a width, a panel."""
    shown = np.pad(pixels, ((26, 20), (panel, 0)), constant_values=title)
    for number in range(3):
        right = shown.shape[1] - 24 * number
        cv2.rectangle(shown, (right - 20, 7), (right - 9, 18), letters, 1)
    for text, left, bottom in (("Ultrasound viewer", 8, 18), ("Frame 1 of 1", 8, shown.shape[0] - 6), ("Open", 4, 60)):
        if bottom != 60 or panel:
            cv2.putText(shown, text, (left, bottom), cv2.FONT_HERSHEY_SIMPLEX, 0.45, letters, 1, cv2.LINE_AA)
    return around(shown, 90, 1)


def gradient(pixels: Gray) -> Gray:
    shown = around(pixels, 0, 50)
    shown[:] = np.linspace(90, 210, shown.shape[0])[:, None]
    shown[50:-50, 50:-50] = pixels
    return shown


def as_jpeg(pixels: Gray) -> Gray:
    encoded = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 80])[1]
    return np.asarray(cv2.imdecode(encoded, cv2.IMREAD_GRAYSCALE), np.uint8)


SCREENSHOTS: dict[str, Callable[[Gray], Gray]] = {
    "on white": lambda p: around(p, 255, 60),
    "wide on white": lambda p: around(p, 255, 220),
    "on light gray": lambda p: around(p, 220, 50),
    "wide on gray": lambda p: around(p, 128, 180),
    "thin on gray": lambda p: around(p, 128, 12),
    "on dark gray": lambda p: around(p, 64, 60),
    "wide on dark gray": lambda p: around(p, 40, 150),
    "on almost black": lambda p: around(p, 24, 60),
    "in a window": window,
    "in a window on white": lambda p: around(window(p), 255, 60),
    "in a window on black": lambda p: around(window(p), 0, 60),
    "in a dark window on gray": lambda p: around(window(p, 40, 220), 120, 60),
    "in a window with a panel": lambda p: around(window(p, panel=70), 255, 40),
    "on a gradient": gradient,
    "as a JPEG": lambda p: as_jpeg(around(p, 200, 50)),
    "in a white frame on gray": lambda p: around(around(p, 255, 20), 128, 60),
}
