"""Agreement of two labels: the table of both, and Cohen's kappa with an interval over whole exams."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.audit.statistics.intervals import t_quantile


class Kappa(NamedTuple):
    """Cohen's kappa and its 95 % interval; NaN where there is none."""

    value: float
    low: float
    high: float


def cross_table(first: NDArray[np.int64], second: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Return how often each label of `first` (rows) meets each of `second` (columns), of `count` labels."""
    return np.bincount(first * count + second, minlength=count * count).reshape(count, count)


def kappa(first: NDArray[np.int64], second: NDArray[np.int64], clusters: NDArray[np.int64], count: int) -> Kappa:
    """Return kappa (J. Cohen, 1960), with an interval of the jackknife over clusters.

    The frames of one exam are not independent, so an interval over frames would be too narrow.
    """
    _, codes = np.unique(clusters, return_inverse=True)
    number = int(codes.max()) + 1 if len(codes) else 0
    total = cross_table(first, second, count)
    value = float(_kappas(total[None])[0]) if number else np.nan
    if number < 2 or np.isnan(value):
        return Kappa(value, np.nan, np.nan)
    size = count * count
    parts = np.bincount(codes * size + first * count + second, minlength=number * size).reshape(number, count, count)
    left_out = _kappas(total - parts)
    if np.isnan(left_out).any():
        return Kappa(value, np.nan, np.nan)
    deviation = float(np.sqrt((number - 1) / number * ((left_out - left_out.mean()) ** 2).sum()))
    half = float(t_quantile(0.05, number - 1)) * deviation
    return Kappa(value, max(-1.0, value - half), min(1.0, value + half))


def _kappas(tables: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the kappa of each table [N, K, K]; NaN where both labels are always the same one."""
    n = np.maximum(1, tables.sum(axis=(1, 2))).astype(np.float64)
    agreed = np.trace(tables, axis1=1, axis2=2) / n
    expected = (tables.sum(axis=1) * tables.sum(axis=2)).sum(axis=1) / n**2
    with np.errstate(divide="ignore", invalid="ignore"):
        found = (agreed - expected) / (1 - expected)
    return np.asarray(np.where(expected < 1, found, np.nan), np.float64)
