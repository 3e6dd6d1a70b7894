"""Frames that keep the probe and lose the anatomy: negatives for the outlier head.

The shape of the insonated area says which probe was used, so it must not be what separates other organs from fetal
planes. Each function keeps the area of a real frame and replaces what it shows. Coordinates are those of the beams:
`ScanGeometry`.
"""

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from model_build.data.negatives.scan_geometry import ScanGeometry, outline
from model_build.data.records import Frame

_PATCH_TRIES = 12
_MIN_TISSUE = 0.9  # share of a texture patch that is insonated


def shuffle_blocks(frame: Frame, random: Generator) -> Frame:
    """Cut a frame uint8 [H, W] along and across its beams into 9 to 25 blocks; permute them, mirror half of them."""
    geometry = ScanGeometry.of(frame)
    columns, rows = int(random.integers(3, 6)), int(random.integers(3, 6))
    across, depth = np.minimum(geometry.across, 0.9999) * columns, np.minimum(geometry.depth, 0.9999) * rows
    block = depth.astype(np.int64) * columns + across.astype(np.int64)
    source, mirrored = random.permutation(columns * rows)[block], (random.random(columns * rows) < 0.5)[block]
    within = np.where(mirrored, 1 - across % 1, across % 1)
    return _resample(frame, geometry, (source % columns + within) / columns, (source // columns + depth % 1) / rows)


def warp(frame: Frame, random: Generator) -> Frame:
    """Move the tissue of a frame uint8 [H, W] along a smooth random field that no anatomy survives."""
    geometry = ScanGeometry.of(frame)
    nodes, magnitude = int(random.integers(3, 6)), random.uniform(0.06, 0.16)
    moved = []
    for coordinate in (geometry.across, geometry.depth):
        field = random.normal(0, magnitude, (nodes, nodes)).astype(np.float32)
        field = np.asarray(cv2.resize(field, (256, 256), interpolation=cv2.INTER_CUBIC), np.float32)
        shift = cv2.remap(field, geometry.across * 255, geometry.depth * 255, cv2.INTER_LINEAR)
        moved.append(1 - np.abs(1 - np.abs(coordinate + shift) % 2))  # mirrored at both ends
    return _resample(frame, geometry, *moved)


def scan_convert(texture: Frame, frame: Frame) -> Frame:
    """Show a texture uint8 [h, w], whose rows run across the beams, in the insonated area of a frame uint8 [H, W]."""
    geometry = ScanGeometry.of(frame)
    height, width = texture.shape
    shown = cv2.remap(texture, geometry.across * (width - 1), geometry.depth * (height - 1), cv2.INTER_LINEAR)
    return np.asarray(shown * geometry.area, np.uint8)


def texture_patch(frame: Frame, random: Generator) -> Frame:
    """Return a random part of a frame uint8 [H, W] without background; the middle of it where none was found."""
    area, (height, width) = outline(frame), frame.shape
    for _ in range(_PATCH_TRIES):
        rows, columns = (max(2, round(side * random.uniform(0.35, 0.8))) for side in frame.shape)
        top, left = int(random.integers(height - rows + 1)), int(random.integers(width - columns + 1))
        part = slice(top, top + rows), slice(left, left + columns)
        if area[part].mean() >= _MIN_TISSUE:
            return frame[part]
    return frame[height // 4 : max(height // 4 + 2, 3 * height // 4), width // 4 : max(width // 4 + 2, 3 * width // 4)]


def _resample(frame: Frame, geometry: ScanGeometry, across: NDArray[np.floating], depth: NDArray[np.floating]) -> Frame:
    x, y = geometry.pixels(across, depth)
    moved = cv2.remap(frame, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    return np.asarray(moved * geometry.area, np.uint8)
