"""Maps of tissue for the simulated probe, and a pen to draw them: scattering in dB and absorption."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

HEIGHT, WIDTH = 600, 800
FLUID, DARK, SOFT, LIVER, MUSCLE, BRIGHT, BONE = -56.0, -32.0, -26.0, -22.0, -20.0, -11.0, 1.0  # dB of scattering

Point = tuple[float, float]
Floats = NDArray[np.float32]


class Probe(NamedTuple):
    """The sector of a probe: its apex, first and last radius in pixels, and half of its angle in radians."""

    name: str
    apex_y: float
    near: float
    far: float
    half_angle: float
    depth_cm: int


CONVEX = Probe("C5-1  OB  MI 1.1", -150, 186, 724, 0.62, 16)
ENDOCAVITY = Probe("E8C  OB  MI 0.6", -50, 130, 570, 1.25, 6)


@dataclass
class Tissue:
    """Maps of the imaged place, and a pen that draws in the body's own coordinates.

    Attributes
    ----------
    echo, absorption
        float32 [HEIGHT, WIDTH]: scattering in dB, and loss of the beam in dB per sample.
    probe
        The probe that scans the tissue.
    center, scale, tilt
        Place of the body's origin in pixels, pixels per unit, and rotation in degrees.
    calipers, caption
        End points of measurements in pixels, and the text of the measurement.
    """

    rng: np.random.Generator
    echo: Floats = field(default_factory=lambda: np.full((HEIGHT, WIDTH), SOFT, np.float32))
    absorption: Floats = field(default_factory=lambda: np.zeros((HEIGHT, WIDTH), np.float32))
    probe: Probe = CONVEX
    center: Point = (WIDTH / 2, 330)
    scale: float = 160
    tilt: float = 0
    calipers: list[tuple[tuple[int, int], tuple[int, int]]] = field(default_factory=list)
    caption: str = ""

    def pixel(self, x: float, y: float) -> tuple[int, int]:
        """Return the pixel of a point of the body."""
        cosine, sine = np.cos(np.radians(self.tilt)), np.sin(np.radians(self.tilt))
        return (
            round(self.center[0] + self.scale * (x * cosine - y * sine)),
            round(self.center[1] + self.scale * (x * sine + y * cosine)),
        )

    def oval(self, echo: float, at: Point, axes: Point, angle: float = 0, *, absorb: float = 0) -> None:
        """Fill an ellipse."""
        size = (max(1, round(axes[0] * self.scale)), max(1, round(axes[1] * self.scale)))
        for target, value in ((self.echo, echo), (self.absorption, absorb)):
            cv2.ellipse(target, self.pixel(*at), size, self.tilt + angle, 0, 360, value, -1, cv2.LINE_AA)

    def curve(self, echo: float, points: Sequence[Point], width: float, *, absorb: float = 0) -> None:
        """Draw a smooth line through `points`, `width` units thick."""
        knots = np.linspace(0, 1, len(points))
        fine = np.linspace(0, 1, 60)
        degree = min(3, len(points) - 1)
        x, y = (np.polyval(np.polyfit(knots, [point[axis] for point in points], degree), fine) for axis in (0, 1))
        line = np.array([self.pixel(*point) for point in zip(x, y, strict=True)])
        for target, value in ((self.echo, echo), (self.absorption, absorb)):
            if target is self.echo or absorb:
                cv2.polylines(target, [line], False, value, max(1, round(width * self.scale)), cv2.LINE_AA)

    def arc(self, echo: float, axes: Point, span: Point, width: float, *, absorb: float = 0) -> None:
        """Draw a part of an ellipse around the origin, from `span[0]` to `span[1]` degrees; faint along the beam."""
        angles = np.radians(np.arange(span[0], span[1] + 0.1, 2))
        line = np.array([self.pixel(axes[0] * np.cos(a), axes[1] * np.sin(a)) for a in angles])
        thickness = max(1, round(width * self.scale))
        for first, last in pairwise(line):
            across, along = np.abs(last - first)
            faint = 15 * (along / max(1e-6, np.hypot(across, along))) ** 2.5
            cv2.line(self.echo, first.tolist(), last.tolist(), echo - faint, thickness, cv2.LINE_AA)
        if absorb:
            cv2.polylines(self.absorption, [line], False, absorb, thickness, cv2.LINE_AA)

    def bend(self, pixels: float, grain: float) -> None:
        """Displace everything by a smooth random field, so that no outline is a perfect ellipse."""
        rows, columns = np.indices((HEIGHT, WIDTH), np.float32)
        x, y = (at + pixels * smooth_noise(self.rng, (HEIGHT, WIDTH), grain) for at in (columns, rows))
        self.echo, self.absorption = sample(self.echo, x, y), sample(self.absorption, x, y)

    def mottle(self, decibels: float, grain: float) -> None:
        """Vary the scattering by a smooth random field, so that no organ has one even gray."""
        self.echo += decibels * smooth_noise(self.rng, (HEIGHT, WIDTH), grain)

    def measure(self, first: Point, last: Point, caption: str) -> None:
        """Put calipers on two points."""
        self.calipers.append((self.pixel(*first), self.pixel(*last)))
        self.caption = caption


def smooth_noise(rng: np.random.Generator, shape: tuple[int, int], grain: float) -> Floats:
    """Return a random field, float32 of `shape`, of mean 0 and deviation 1, that varies over `grain` pixels."""
    coarse = rng.normal(size=[max(4, round(side / (2 * grain)) + 3) for side in shape]).astype(np.float32)
    field = cv2.resize(coarse, shape[::-1], interpolation=cv2.INTER_CUBIC)
    return np.asarray(field / field.std(), np.float32)


def sample(values: Floats, x: Floats, y: Floats) -> Floats:
    """Return `values` at the places `x`, `y`, in pixels."""
    return np.asarray(cv2.remap(values, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.float32)
