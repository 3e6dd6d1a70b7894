"""The anatomy of the standard planes and of a frame without one, drawn for the simulated probe."""

from collections.abc import Callable

import cv2
import numpy as np

from service.sample.tissue import (
    BONE,
    BRIGHT,
    DARK,
    ENDOCAVITY,
    FLUID,
    LIVER,
    MUSCLE,
    SOFT,
    WIDTH,
    Point,
    Tissue,
)  # fmt: skip


def draw_anatomy(kind: str, rng: np.random.Generator, drift: float = 0) -> Tissue:
    """Return the anatomy of a kind (see `KINDS`), varied by `rng` and moved by `drift` pixels."""
    tissue = Tissue(rng)
    _maternal_layers(tissue)
    tissue.bend(10, 60)
    tissue.center = (WIDTH / 2 + rng.uniform(-25, 25) + drift, 335 + rng.uniform(-15, 20) + drift / 2)
    tissue.scale, tissue.tilt = rng.uniform(150, 170), rng.uniform(-18, 18)
    KINDS[kind](tissue)
    tissue.bend(3, 45)
    tissue.echo = np.asarray(cv2.GaussianBlur(tissue.echo, (0, 0), 1.6), np.float32)
    return tissue


def _maternal_layers(tissue: Tissue) -> None:
    """Skin, fat and muscle below the probe, the uterine wall, then amniotic fluid and a placenta at one side."""
    middle, rng = WIDTH / 2, tissue.rng
    apex = (round(middle), -150)
    for radius, echo in ((760, SOFT - 3), (500, FLUID), (292, LIVER), (258, MUSCLE - 6), (236, BRIGHT - 6)):
        bulge = round(radius * rng.uniform(0.98, 1.02))
        cv2.ellipse(tissue.echo, apex, (bulge, radius), 0, 0, 360, echo, -1, cv2.LINE_AA)
    for radius in range(192, 262, 7):
        start, length = rng.uniform(50, 110), rng.uniform(8, 40)
        cv2.ellipse(tissue.echo, apex, (radius, radius), 0, start, start + length, BRIGHT - 2, 2, cv2.LINE_AA)
    side = 1 if rng.random() < 0.5 else -1
    cv2.ellipse(tissue.echo, (round(middle + side * 250), 260), (120, 250), side * -22, 0, 360, LIVER, -1)
    for number in range(9):
        place = (round(middle + rng.uniform(-300, 300)), round(rng.uniform(470, 580)))
        cv2.ellipse(
            tissue.echo, place, (int(rng.uniform(40, 120)), 5), rng.uniform(-20, 20), 0, 360, MUSCLE + number % 5, -1
        )
    tissue.mottle(1.5, 14)


def _brain(tissue: Tissue) -> None:
    """The transthalamic plane: skull, midline, cavum septi pellucidi, thalami, choroid plexus."""
    tissue.oval(SOFT + 2, (0, 0), (1.34, 1.06))
    tissue.oval(DARK - 2, (0, 0), (1.24, 0.96))
    tissue.mottle(1.6, 7)
    for y in (-0.62, 0.62):  # the insula and sulci, as bright folds
        tissue.curve(BRIGHT - 6, [(-0.35, y * 0.8), (0.0, y), (0.35, y * 0.85)], 0.03)
        tissue.curve(BRIGHT - 8, [(0.5, y * 0.9), (0.75, y * 0.6)], 0.025)
    tissue.curve(BRIGHT - 1, [(-1.18, 0), (-0.62, 0.01)], 0.025)
    tissue.curve(BRIGHT - 2, [(-0.22, 0), (0.2, 0.01), (1.15, 0)], 0.022)
    for y in (-0.055, 0.055):
        tissue.curve(BRIGHT, [(-0.62, y), (-0.36, y)], 0.022)
    tissue.oval(FLUID + 8, (-0.49, 0), (0.12, 0.035))
    for y in (-0.17, 0.17):
        tissue.oval(DARK - 9, (0.02, y), (0.24, 0.13), 12 if y < 0 else -12)
    tissue.curve(BRIGHT - 3, [(0.45, 0.2), (0.7, 0.34), (0.9, 0.36)], 0.1)
    tissue.oval(FLUID + 6, (0.86, 0.4), (0.18, 0.06), 20)
    tissue.arc(BONE, (1.24, 0.96), (0, 360), 0.05, absorb=0.1)
    for start in (55, 235):  # a suture: a gap of the skull, without a shadow
        tissue.arc(DARK, (1.24, 0.96), (start, start + 6), 0.05)
    tissue.measure((0.1, -0.98), (0.1, 0.96), "BPD  84.1 mm   HC  306 mm")


def _trunk(tissue: Tissue, axes: Point, inside: float) -> None:
    """The wall of the trunk with ribs, and the spine's three centers of ossification with their shadow."""
    tissue.oval(MUSCLE + 3, (0, 0), (axes[0] + 0.07, axes[1] + 0.07))
    tissue.oval(DARK, (0, 0), (axes[0] + 0.02, axes[1] + 0.02))
    tissue.oval(inside, (0, 0), (axes[0] - 0.03, axes[1] - 0.03))
    tissue.mottle(1.5, 6)
    tissue.arc(BRIGHT - 2, (axes[0] + 0.07, axes[1] + 0.07), (0, 360), 0.025)


def _spine(tissue: Tissue, at: Point) -> None:
    tissue.oval(BRIGHT - 9, at, (0.17, 0.16))
    for x, y in ((0.0, 0.08), (-0.11, -0.06), (0.11, -0.06)):
        tissue.oval(BONE - 2, (at[0] + x, at[1] + y), (0.055, 0.045), absorb=0.55)
    tissue.oval(FLUID + 16, (at[0], at[1] - 0.02), (0.04, 0.035))


def _abdomen(tissue: Tissue) -> None:
    """The transverse plane: liver, stomach bubble, umbilical vein, spine, ribs at the sides."""
    tissue.tilt *= 3
    _trunk(tissue, (1.06, 1.0), LIVER)
    for start in (20, 150):
        tissue.arc(BONE - 5, (0.95, 0.9), (start, start + 24), 0.04, absorb=0.16)
    tissue.oval(FLUID, (-0.5, 0.12), (0.25, 0.17), -25, absorb=-0.06)
    tissue.curve(BRIGHT - 8, [(0.02, -0.66), (0.04, -0.34), (0.16, -0.12), (0.36, -0.02)], 0.125)
    tissue.curve(FLUID, [(0.02, -0.66), (0.04, -0.34), (0.16, -0.12), (0.36, -0.02)], 0.09)
    tissue.oval(FLUID + 4, (-0.12, 0.5), (0.065, 0.06))
    tissue.oval(FLUID + 8, (0.16, 0.46), (0.05, 0.045))
    tissue.oval(DARK - 1, (-0.42, -0.38), (0.22, 0.13), 30)
    _spine(tissue, (0.02, 0.76))
    tissue.measure((-1.08, 0), (1.08, 0), "AC  287 mm")


def _thorax(tissue: Tissue) -> None:
    """The four-chamber view: heart with its septum and crux, lungs, ribs, spine, aorta."""
    tissue.tilt *= 2
    _trunk(tissue, (1.08, 0.98), LIVER + 1)
    for start in (-64, -28, 8, 152, 188, 224):
        tissue.arc(BONE - 3, (0.97, 0.87), (start, start + 17), 0.06, absorb=0.3)
    tissue.oval(MUSCLE + 3, (-0.1, -0.06), (0.74, 0.58), 38)
    for at, axes, angle in (
        ((-0.38, -0.14), (0.29, 0.14), 42), ((-0.12, -0.36), (0.29, 0.14), 46),
        ((0.02, 0.2), (0.2, 0.17), 40), ((0.26, -0.04), (0.2, 0.17), 40),
    ):  # fmt: skip
        tissue.oval(FLUID, at, axes, angle)
    tissue.curve(BRIGHT - 4, [(-0.52, -0.48), (-0.2, -0.22), (0.04, -0.02), (0.2, 0.12)], 0.045)
    tissue.curve(BRIGHT - 3, [(-0.16, 0.08), (0.0, -0.05), (0.18, -0.22)], 0.03)
    tissue.oval(FLUID, (-0.1, 0.56), (0.075, 0.07))
    _spine(tissue, (0.06, 0.74))
    tissue.caption = "Four chambers"


def _femur(tissue: Tissue) -> None:
    """The long axis of the diaphysis with its shadow, in the muscles of the thigh."""
    tissue.scale *= 1.08
    tissue.oval(MUSCLE + 2, (0, 0.04), (1.55, 0.62))
    tissue.oval(SOFT - 1, (0, 0.04), (1.5, 0.56))
    for number in range(16):
        y, x = tissue.rng.uniform(-0.42, 0.45), tissue.rng.uniform(-0.9, 0.9)
        tissue.curve(BRIGHT - 8, [(x - 0.3, y), (x, y + 0.02), (x + 0.3, y + 0.01 * (number % 3))], 0.02)
    tissue.mottle(1.5, 6)
    tissue.oval(DARK - 6, (-1.06, 0.0), (0.2, 0.15))
    tissue.oval(DARK - 6, (1.06, 0.02), (0.2, 0.16))
    tissue.curve(BONE + 3, [(-0.9, 0.02), (-0.3, -0.04), (0.3, -0.045), (0.9, 0.03)], 0.1, absorb=0.8)
    tissue.measure((-0.93, 0.0), (0.93, 0.01), "FL  58.3 mm")


def _cervix(tissue: Tissue) -> None:
    """The sagittal plane through the vagina: cervix with its canal, rectum behind it, the fetal head above the os."""
    tissue.probe, tissue.tilt = ENDOCAVITY, tissue.tilt * 0.3
    tissue.center, tissue.scale = (tissue.center[0] - 10, tissue.center[1] - 95), tissue.scale * 1.05
    tissue.echo[:], tissue.absorption[:] = BRIGHT - 5, 0
    tissue.mottle(2, 28)
    tissue.arc(BRIGHT + 7, (1.72, 1.3), (45, 225), 0.17)  # the posterior fornix and the wall of the rectum
    tissue.oval(LIVER, (0, 0), (1.62, 1.2), -6)
    tissue.mottle(3.7, 9)
    canal = [(-1.1, 0.12), (-0.4, 0.2), (0.3, 0.1), (0.95, 0.08)]
    tissue.curve(LIVER - 2.5, canal, 0.21)
    tissue.curve(BRIGHT - 2, canal, 0.07)
    center = tissue.center
    tissue.center = tissue.pixel(2.05, 1.15)
    tissue.oval(FLUID, (0, 0), (1.13, 1.16))
    tissue.oval(DARK - 3, (0, 0), (1.0, 1.0))
    tissue.arc(BONE, (1.0, 1.0), (110, 290), 0.09, absorb=0.12)
    tissue.center = center
    tissue.measure((-1.1, 0.12), (0.95, 0.08), "CL  35.2 mm")


def _placenta(tissue: Tissue) -> None:
    """Name what `_maternal_layers` drew: a placenta and fluid, without a part of the fetus."""
    tissue.caption = "Placenta"


KINDS: dict[str, Callable[[Tissue], None]] = {
    "abdomen": _abdomen,
    "brain": _brain,
    "femur": _femur,
    "thorax": _thorax,
    "cervix": _cervix,
    "placenta": _placenta,
}
