"""The outline of the insonated area of a frame, and coordinates along and across its beams.

A convex or transvaginal probe scans a sector: a point is then given by its depth and its angle at the apex, where all
beams meet. A linear probe has parallel beams: depth and lateral position.
"""

from dataclasses import dataclass
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from model_build.data.records import Frame

Floats = NDArray[np.float64]

_BLACK = 8  # gray levels up to this are background
_MIN_POINTS = 20  # of an edge that a line or a circle is fitted to
_MAX_CIRCLE_ERROR = 0.015  # median distance from the circle, as a share of the frame's width


def outline(frame: Frame) -> NDArray[np.bool_]:
    """Return the insonated area, bool [H, W]: the largest bright region, without holes; all of a black frame."""
    side = max(5, round(min(frame.shape) * 0.05))
    bright = cv2.morphologyEx((frame > _BLACK).astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))  # no text
    bright = cv2.copyMakeBorder(bright, side, side, side, side, cv2.BORDER_CONSTANT)
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * side + 1, 2 * side + 1))
    closed = cv2.morphologyEx(bright, cv2.MORPH_CLOSE, disk)[side:-side, side:-side]
    count, labels, statistics, _ = cv2.connectedComponentsWithStats(closed)
    if count < 2:
        return np.ones(frame.shape, np.bool_)
    largest = labels == 1 + int(statistics[1:, cv2.CC_STAT_AREA].argmax())
    # Shadows reach the lower edge, so each column is filled from its first to its last bright pixel.
    above, below = np.maximum.accumulate(largest, 0), np.maximum.accumulate(largest[::-1], 0)[::-1]
    return np.asarray(above & below)


def find_apex(area: NDArray[np.bool_]) -> tuple[float, float] | None:
    """Return x and y of the point where the beams of an insonated area meet; None for parallel beams.

    The apex is the center of the arc that ends the area below or above, else the point where its sides meet.
    """
    height, width = area.shape
    columns = np.flatnonzero(area.any(0))
    columns = columns[len(columns) // 5 : len(columns) - len(columns) // 5]
    top = int(area.any(1).argmax())
    for rows in (height - 1 - area[::-1, columns].argmax(0), area[:, columns].argmax(0)):
        inside = (rows > 1) & (rows < height - 2)  # elsewhere the frame's edge cuts the arc
        if inside.sum() < max(_MIN_POINTS, 0.6 * len(columns)):
            continue
        x, y, error = _fit_circle(columns[inside].astype(np.float64), rows[inside].astype(np.float64))
        curved = np.ptp(rows[inside]) > 0.02 * height
        if curved and error < _MAX_CIRCLE_ERROR * width and _plausible(x, y, top, area.shape):
            return x, y
    return _sides_meet(area, top)


def _fit_circle(x: Floats, y: Floats) -> tuple[float, float, float]:
    """Return the center of the circle through most of the points (Kasa 1976), and the median distance from it."""
    center, error = np.zeros(2), np.zeros(len(x))
    for _ in range(3):  # twice without the points that fit worst
        system = np.stack([x, y, np.ones_like(x)], 1)
        solution = np.linalg.lstsq(system, x**2 + y**2)[0]
        center = solution[:2] / 2
        radius = float(np.sqrt(max(0.0, solution[2] + (center**2).sum())))
        error = np.abs(np.hypot(x - center[0], y - center[1]) - radius)
        kept = error <= max(1.0, float(np.quantile(error, 0.85)))
        x, y = x[kept], y[kept]
    return float(center[0]), float(center[1]), float(np.median(error))


def _sides_meet(area: NDArray[np.bool_], top: int) -> tuple[float, float] | None:
    height, width = area.shape
    rows = np.flatnonzero(area.any(1))
    left, right = area[rows].argmax(1), width - 1 - area[rows][:, ::-1].argmax(1)
    free = (left > 1) & (right < width - 2)  # elsewhere the frame's edge cuts the sides
    if free.sum() < max(_MIN_POINTS, 0.2 * height):
        return None
    slope_left, at_left = np.polyfit(rows[free], left[free], 1)
    slope_right, at_right = np.polyfit(rows[free], right[free], 1)
    if slope_right - slope_left < 0.25:
        return None
    y = float((at_left - at_right) / (slope_right - slope_left))
    x = float(slope_left * y + at_left)
    return (x, y) if _plausible(x, y, top, area.shape) else None


def _plausible(x: float, y: float, top: int, shape: tuple[int, ...]) -> bool:
    height, width = shape
    return 0.1 * width < x < 0.9 * width and -3 * height < y < top + 0.1 * height


@dataclass(frozen=True, eq=False)
class ScanGeometry:
    """Coordinates of a frame: `across` and `depth`, float32 [H, W], from 0 to 1 over the insonated area."""

    area: NDArray[np.bool_]
    across: NDArray[np.float32]
    depth: NDArray[np.float32]
    apex: tuple[float, float] | None
    origin: tuple[float, float]  # angle (or x) and radius (or y) where `across` and `depth` are 0
    extent: tuple[float, float]

    @classmethod
    def of(cls, frame: Frame) -> Self:
        """Return the geometry of a frame uint8 [H, W]."""
        area = outline(frame)
        apex = find_apex(area)
        y, x = np.mgrid[: frame.shape[0], : frame.shape[1]].astype(np.float64)
        if apex is not None:
            x, y = np.arctan2(x - apex[0], y - apex[1]), np.hypot(x - apex[0], y - apex[1])
        origin = float(x[area].min()), float(y[area].min())
        extent = max(float(np.ptp(x[area])), 1e-6), max(float(np.ptp(y[area])), 1e-6)
        across = np.clip((x - origin[0]) / extent[0], 0, 1).astype(np.float32)
        depth = np.clip((y - origin[1]) / extent[1], 0, 1).astype(np.float32)
        return cls(area, across, depth, apex, origin, extent)

    def pixels(
        self, across: NDArray[np.floating], depth: NDArray[np.floating]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the pixel coordinates x and y, float32, of coordinates of any shape."""
        x, y = self.origin[0] + across * self.extent[0], self.origin[1] + depth * self.extent[1]
        if self.apex is not None:
            x, y = self.apex[0] + y * np.sin(x), self.apex[1] + y * np.cos(x)
        return x.astype(np.float32), y.astype(np.float32)
