"""Frames that look like ultrasound and are made of nothing but arithmetic."""

import cv2
import numpy as np
from numpy.typing import NDArray

Gray = NDArray[np.uint8]


def scan(kind: str = "head", *, height: int = 420, width: int = 560, seed: int = 0) -> Gray:
    """A speckled sector with a bright outline in it, uint8 [H, W]: `head`, `belly`, `femur`, `chest` or `neck`."""
    rng = np.random.default_rng(seed)
    tissue = np.full((height, width), 58, np.float32)
    _draw(tissue, kind, rng)
    tissue = cv2.GaussianBlur(tissue, (0, 0), 2).astype(np.float32)
    grain = cv2.GaussianBlur(rng.rayleigh(1, (height, width)).astype(np.float32), (0, 0), sigmaX=2.2, sigmaY=0.9)
    depth = np.linspace(1.1, 0.62, height, dtype=np.float32)[:, None]
    frame = np.clip(tissue * grain * 0.82 * depth, 0, 255).astype(np.uint8)
    return np.asarray(np.where(_sector(height, width), np.maximum(frame, 9), 0), np.uint8)


def loop(count: int, kinds: tuple[str, ...] = ("head", "belly")) -> list[Gray]:
    """A cine of `count` small frames that goes through `kinds` one after the other."""
    parts = np.array_split(np.arange(count), len(kinds))
    return [
        scan(kind, height=240, width=320, seed=int(number))
        for kind, part in zip(kinds, parts, strict=True)
        for number in part
    ]


def _sector(height: int, width: int) -> NDArray[np.bool_]:
    """The fan of a curved probe."""
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    x, y = columns - width / 2, rows + 0.28 * height
    radius, angle = np.hypot(x, y), np.abs(np.arctan2(x, y))
    return np.asarray((radius > 0.36 * height) & (radius < 1.22 * height) & (angle < 0.62))


def _draw(tissue: NDArray[np.float32], kind: str, rng: np.random.Generator) -> None:
    height, width = tissue.shape
    center = (int(width * rng.uniform(0.46, 0.54)), int(height * rng.uniform(0.5, 0.58)))
    size, tilt = height * rng.uniform(0.26, 0.3), float(rng.uniform(-25, 25))

    def ellipse(across: float, along: float, gray: float, line: int = -1, at: tuple[float, float] = (0, 0)) -> None:
        middle = (int(center[0] + at[0] * size), int(center[1] + at[1] * size))
        cv2.ellipse(tissue, middle, (int(size * across), int(size * along)), tilt, 0, 360, gray, line, cv2.LINE_AA)

    if kind == "head":
        ellipse(1.25, 0.95, 40)
        ellipse(1.25, 0.95, 215, 7)
        ellipse(0.95, 0.02, 120)
        ellipse(0.22, 0.09, 14, at=(-0.45, 0))
    elif kind == "belly":
        ellipse(1.05, 1.0, 66)
        ellipse(1.05, 1.0, 150, 4)
        ellipse(0.24, 0.2, 8, at=(-0.4, -0.2))
        ellipse(0.1, 0.34, 14, at=(0.25, 0.1))
    elif kind == "femur":
        ellipse(1.3, 0.5, 70)
        ellipse(1.15, 0.08, 240)
    elif kind == "chest":
        ellipse(1.05, 0.95, 52)
        ellipse(1.05, 0.95, 140, 5)
        ellipse(0.42, 0.36, 96, at=(-0.15, 0.1))
        ellipse(0.13, 0.2, 10, at=(-0.3, 0.1))
        ellipse(0.13, 0.2, 10, at=(0.02, 0.1))
    elif kind == "neck":
        ellipse(1.4, 0.42, 88)
        ellipse(1.2, 0.05, 16)
        ellipse(0.7, 0.4, 10, at=(-1.2, -0.5))
