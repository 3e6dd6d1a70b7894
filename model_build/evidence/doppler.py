"""Frames in color, to test the detection of color Doppler: tinted, with colored graphics, and with painted flow."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from model_build.data.negatives.color_flow import with_flow
from model_build.evaluation.tables import Row
from service.imaging.color import FLOW, flow_share
from service.imaging.decode import decode_frame
from service.imaging.sector import find_sector

Gray = NDArray[np.uint8]
Colors = NDArray[np.uint8]

_TINTS = ((1.4, 1.1, 0.85), (0.8, 1.0, 1.3), (2.2, 1.2, 0.7))  # exponents of blue, green, red: sepia, blue, amber
_INKS = ((0, 255, 255), (0, 255, 0), (255, 255, 0), (0, 128, 255))
_QUALITY = 75  # JPEG; its subsampled chroma is the hardest case


def gray(frame: Gray, random: Generator) -> Colors:
    """Return a gray frame uint8 [H, W] in color format, uint8 [H, W, 3]."""
    return cv2.merge([frame] * 3).astype(np.uint8, copy=False)


def tinted(frame: Gray, random: Generator) -> Colors:
    """Return the frame through a color map, as many scanners show it."""
    level = np.arange(256) / 255
    table = np.stack([level**exponent for exponent in _TINTS[random.integers(len(_TINTS))]], 1) * 255
    return np.asarray(table.astype(np.uint8)[frame])


def with_graphics(frame: Gray, random: Generator) -> Colors:
    """Return the frame with three ellipses and three lines of text in color."""
    painted, (height, width) = gray(frame, random), frame.shape
    for _ in range(3):
        ink = _INKS[random.integers(len(_INKS))]
        center = int(width * random.uniform(0.3, 0.7)), int(height * random.uniform(0.3, 0.7))
        cv2.ellipse(painted, center, (width // 5, height // 5), 0, 0, 360, ink, 2 if width > 350 else 1)
        corner = int(width * random.uniform(0, 0.6)), int(height * random.uniform(0.1, 0.9))
        cv2.putText(painted, "GA 20w3d", corner, cv2.FONT_HERSHEY_SIMPLEX, 0.6, ink, 1)
    return painted


KINDS = {"gray": gray, "tinted": tinted, "colored graphics": with_graphics, "color Doppler": with_flow}


def color_rows(frames: Sequence[Gray]) -> list[Row]:
    """Return one row per kind: the share of color-flow pixels in JPEG frames, and the share of abstentions."""
    rows: list[Row] = []
    for kind, paint in KINDS.items():
        random = np.random.default_rng(0)
        shares = [_flow_share(paint(frame, random)) for frame in frames]
        row: Row = {"input": kind, "frames": len(frames)}
        row |= zip(("min", "median", "max"), np.quantile(shares, (0, 0.5, 1)).tolist(), strict=True)
        rows.append(row | {"abstained": float(np.mean(np.array(shares) > FLOW))})
    return rows


def _flow_share(painted: Colors) -> float:
    frame = decode_frame(cv2.imencode(".jpg", painted, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1].tobytes())
    if frame.colors is None:
        return 0.0
    return flow_share(frame.colors, find_sector(frame.pixels), *frame.pixels.shape)
