"""Execution providers of ONNX Runtime other than the CPU's, which come with another build of it.

A provider is trusted only as far as it was tried: where one is named, the engine compares its answers with the CPU's
before it serves. The explainer and the sub-plane head, a tenth of the work, stay on the CPU.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.inference.engine import AllCores, Engine, Scores
from service.inference.package import ModelPackage, PackageError

PROBABILITY, SCORE, HEAT = 0.02, 0.25, 0.1
"""The largest differences to the CPU: of a probability, of a score of out-of-distribution, of a heat map's value; those
of bfloat16 are within."""

_KINDS, _SEEDS = ("brain", "abdomen", "femur"), 2


class Deviation(NamedTuple):
    """The largest differences between two engines over some frames."""

    probability: float
    score: float
    heat: float

    def check(self) -> None:
        """Raise PackageError where a difference is too large; a value that is not finite counts as that."""
        for name, found, limit in zip(self._fields, self, (PROBABILITY, SCORE, HEAT), strict=True):
            if not found <= limit:
                raise PackageError(
                    f"the providers of FETAL_PLANES_PROVIDERS compute another {name} than the CPU: it differs by up to "
                    f"{found:.3g}, the limit is {limit:g}"
                )


def open_engine(package: ModelPackage, all_cores: AllCores | None = None) -> Engine:
    """Return an engine that has run; with other providers, one whose answers were compared with the CPU's.

    Raises PackageError where the package or a provider cannot be used.
    """
    if not package.providers:
        engine = Engine(package, all_cores)
        engine.warm_up()
        return engine
    engine, reference = Engine(package), Engine(package.on({}))
    engine.warm_up()
    compare(engine, reference).check()
    return engine


def compare(engine: Engine, reference: Engine) -> Deviation:
    """Return the largest differences between two engines of one package over drawn frames."""
    found = [_difference(engine, reference, view) for view in _views(engine.manifest.preprocessing.size)]
    return Deviation(*(float(value) for value in np.max(found, axis=0)))  # NaN if one is


def _views(size: int) -> list[NDArray[np.uint8]]:
    from service.sample.frames import draw_frame  # few services name a provider

    return [draw_frame(kind, height=size, width=size, seed=seed) for kind in _KINDS for seed in range(_SEEDS)]


def _difference(engine: Engine, reference: Engine, view: NDArray[np.uint8]) -> tuple[float, float, float]:
    ours, theirs = (each.score(view, with_features=True) for each in (engine, reference))
    plane = theirs.ranked()[0]
    heat, expected = (each.explain(found, plane).values for each, found in ((engine, ours), (reference, theirs)))
    return (
        float(np.abs(ours.probabilities - theirs.probabilities).max()),
        float(np.abs(_scores(ours) - _scores(theirs)).max()),
        float(np.abs(heat - expected).max()),
    )


def _scores(scores: Scores) -> NDArray[np.float64]:
    return np.array((scores.ood_score, scores.distance))
