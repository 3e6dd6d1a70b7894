"""Exams to look at: those far from all others in one number."""

from typing import NamedTuple

import numpy as np

from service.audit.measures import Measure
from service.audit.statistics.intervals import Floats

MAX_PER_MEASURE = 20

_FAR = 3.0  # interquartile ranges beyond the quartiles: "far out" (J. W. Tukey, Exploratory Data Analysis, 1977)
_SIDES = {"frames": "both", "abstention": "high", "confidence": "low", "ood": "high"}


class Outlier(NamedTuple):
    """An exam by its index, its value, and the median and the fence of all exams."""

    exam: int
    measure: Measure
    value: float
    median: float
    fence: float


def find_outliers(measures: list[Measure]) -> list[Outlier]:
    """Return the farthest exams of each measure that are far out; at most `MAX_PER_MEASURE` of each."""
    found: list[Outlier] = []
    for measure in measures:
        side = _SIDES.get(measure.kind)
        if side is not None and np.isfinite(measure.values).any():
            found += _outliers(measure, side)
    return found


def _outliers(measure: Measure, side: str) -> list[Outlier]:
    # The logarithm makes numbers of frames symmetric.
    scale = np.log1p if measure.kind == "frames" else np.asarray
    values: Floats = scale(measure.values)
    low, median, high = np.nanquantile(values, [0.25, 0.5, 0.75])
    fences = {"low": low - _FAR * (high - low), "high": high + _FAR * (high - low)}
    distance = np.full(len(values), -np.inf)
    if side in ("high", "both"):
        distance = np.fmax(distance, values - fences["high"])
    if side in ("low", "both"):
        distance = np.fmax(distance, fences["low"] - values)
    unscale = np.expm1 if measure.kind == "frames" else np.asarray
    farthest = np.argsort(-distance, kind="stable")[:MAX_PER_MEASURE]
    return [
        Outlier(
            int(exam), measure, float(measure.values[exam]), float(unscale(median)),
            float(unscale(fences["high" if values[exam] > median else "low"])),
        )
        for exam in farthest
        if distance[exam] > 0
    ]  # fmt: skip
