"""Drawn frames that look like obstetric ultrasound: drawn anatomy, scanned by a simple simulated convex probe.

The simulation works along scan lines, like a scanner: scatterers with random phase, a point spread function, the
Rayleigh-distributed envelope, attenuation with shadows, gain over depth, logarithmic compression, scan conversion.
Source of the speckle model: Burckhardt, "Speckle in ultrasound B-mode scans", IEEE Trans. Son. Ultrason. 25 (1978).
No patient's image is involved, and each frame says so in its caption.
"""

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from service.sample.anatomy import draw_anatomy
from service.sample.tissue import HEIGHT, WIDTH, Probe, Tissue, sample, smooth_noise

Gray = NDArray[np.uint8]
Floats = NDArray[np.float32]

_SAMPLES, _LINES = 620, 448  # of the scan: along the beam, and side by side
_DYNAMIC_RANGE = 56.0  # dB between black and white
_LOOKS = 2
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def draw_frame(kind: str = "brain", *, height: int = 420, width: int = 560, seed: int = 0, step: int = 0) -> Gray:
    """Return a frame of `kind` (see `anatomy.KINDS`), uint8 [height, width].

    The same arguments give the same frame. With each `step` the anatomy drifts and the speckle is new, as in a loop.
    """
    return np.asarray(cv2.resize(_draw(kind, seed, step), (width, height), interpolation=cv2.INTER_AREA), np.uint8)


@lru_cache(maxsize=128)
def _draw(kind: str, seed: int, step: int) -> Gray:
    """Return a frame of full size."""
    tissue = draw_anatomy(kind, np.random.default_rng([seed, *kind.encode()]), drift=2.0 * step)
    frame = _scan_convert(_scan(tissue, np.random.default_rng([seed, step])), tissue.probe)
    _annotate(frame, tissue)
    frame.setflags(write=False)
    return frame


def _scan(tissue: Tissue, rng: np.random.Generator) -> Floats:
    """Return the compressed echoes, float32 [samples, lines], 0 to 255."""
    probe = tissue.probe
    radius = np.linspace(probe.near, probe.far, _SAMPLES, dtype=np.float32)[:, None]
    angle = np.linspace(-probe.half_angle, probe.half_angle, _LINES, dtype=np.float32)[None]
    x, y = WIDTH / 2 + radius * np.sin(angle), probe.apex_y + radius * np.cos(angle)
    echo, absorption = sample(tissue.echo, x, y), sample(tissue.absorption, x, y)

    # Scatterers of random phase, seen through a point spread function that is wider across the beam than along it.
    # The power of several looks is averaged (spatial compounding), which softens the speckle.
    looks = rng.normal(size=(2 * _LOOKS, _SAMPLES, _LINES)).astype(np.float32)
    power = sum(_blur(look * 10 ** (echo / 20), 2.8, 1.7) ** 2 for look in looks)
    unit = sum(np.mean(_blur(look, 2.8, 1.7) ** 2) for look in looks)
    envelope = np.sqrt(power / unit)

    # A smooth interface that the beam meets at a right angle reflects like a mirror.
    interface = np.maximum(np.gradient(_blur(echo, 2.0, 1.2), axis=0), 0)
    decibels = 20 * np.log10(envelope + 1e-4) + 0.9 * np.minimum(interface, 9)

    # What lies behind bone is dark, what lies behind fluid is bright; gain makes up for most of the depth.
    depth = np.linspace(0, 1, _SAMPLES, dtype=np.float32)[:, None]
    loss = _blur(np.cumsum(absorption, axis=0), 2.5, 0.1)
    focus = 4 * np.exp(-(((depth - 0.5) / 0.25) ** 2))
    gain = focus - 11 * depth**2 - 3
    decibels = decibels - loss + gain + smooth_noise(rng, (_SAMPLES, _LINES), 34)
    # Electronic noise, which the gain lifts in the depth.
    noise = -62 + 10 * depth + 4 * rng.normal(size=decibels.shape)
    decibels = np.logaddexp(decibels / 6, noise / 6) * 6
    level = np.clip((decibels + _DYNAMIC_RANGE) / _DYNAMIC_RANGE, 0, 1)
    return np.asarray(255 * level**2.0, np.float32)


def _scan_convert(scan: Floats, probe: Probe) -> Gray:
    """Return the sector on black, uint8 [HEIGHT, WIDTH]."""
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    x, y = columns - WIDTH / 2, rows - probe.apex_y
    line = (np.arctan2(x, y) / probe.half_angle + 1) / 2 * (_LINES - 1)
    sample = (np.hypot(x, y) - probe.near) / (probe.far - probe.near) * (_SAMPLES - 1)
    frame = cv2.remap(np.maximum(scan, 3), line, sample.astype(np.float32), cv2.INTER_CUBIC, borderValue=0)
    inside = (line >= 0) & (line <= _LINES - 1) & (sample >= 0) & (sample <= _SAMPLES - 1)
    return np.asarray(np.where(inside, np.clip(frame, 3, 255), 0), np.uint8)


def _annotate(frame: Gray, tissue: Tissue) -> None:
    """Add what a scanner writes around and over the sector: gray bar, depth scale, calipers, captions."""
    bar = np.linspace(255, 0, 150).astype(np.uint8)[:, None]
    frame[40:190, 20:30] = bar
    for number in range(tissue.probe.depth_cm + 1):
        y, long = 36 + round(number * (HEIGHT - 66) / tissue.probe.depth_cm), number % 5 == 0
        cv2.line(frame, (WIDTH - 22 - 5 * long, y), (WIDTH - 18, y), 170, 1, cv2.LINE_AA)
        if long and number:
            cv2.putText(frame, str(number), (WIDTH - 54, y + 4), _FONT, 0.4, 170, 1, cv2.LINE_AA)
    cv2.fillPoly(frame, [np.array([[WIDTH - 14, 292], [WIDTH - 6, 287], [WIDTH - 6, 297]])], 200)  # focus
    cv2.circle(frame, (WIDTH // 2 - 128, 26), 6, 200, 1, cv2.LINE_AA)  # side of the probe's mark
    for first, last in tissue.calipers:
        for point in np.linspace(first, last, 30)[1:-1]:
            cv2.circle(frame, (round(point[0]), round(point[1])), 0, 190, -1)
        for x, y in (first, last):
            cv2.line(frame, (x - 6, y), (x + 6, y), 245, 1, cv2.LINE_AA)
            cv2.line(frame, (x, y - 6), (x, y + 6), 245, 1, cv2.LINE_AA)
    captions = [(tissue.caption, 16, HEIGHT - 40), ("Drawn frame, no patient", 16, HEIGHT - 18)]
    settings = [(tissue.probe.name, WIDTH - 190, 20), (f"71 Hz  {tissue.probe.depth_cm} cm", WIDTH - 190, HEIGHT - 18)]
    for text, x, y in [*captions, *settings]:
        cv2.putText(frame, text, (x, y), _FONT, 0.45, 200, 1, cv2.LINE_AA)


def _blur(values: Floats, across: float, along: float) -> Floats:
    return np.asarray(cv2.GaussianBlur(values, (0, 0), sigmaX=across, sigmaY=along), np.float32)
