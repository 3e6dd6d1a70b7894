"""Find a lasting change in monthly means: of all exams, or of one machine in comparison with the others.

A month's mean scatters by chance and, naturally, from month to month. The natural part comes from the differences of
successive months, as in a control chart of individuals (D. C. Montgomery, Statistical Quality Control): a change
of level makes one large difference only, and so does not hide itself.
"""

from typing import NamedTuple

import numpy as np

from service.audit.statistics.intervals import Floats, t_probability
from service.audit.statistics.random_effects import PRIOR_DF

MIN_SIDE = 2
"""Months that a change needs before and after it: a single odd month is one of the control chart."""


class Series(NamedTuple):
    """Monthly means, in the order of time, and their variances of chance."""

    values: Floats
    variances: Floats


class Change(NamedTuple):
    """The month, by its index, from which the mean differs most from before; the difference, and its probability.

    The probability accounts for the choice among all months.
    """

    first: int
    difference: float
    probability: float


def month_spread(series: list[Series], natural: float) -> tuple[float, float]:
    """Return the natural standard deviation from month to month, of all series together, and its degrees of freedom."""
    squares = [_squares(each) for each in series if len(each.values) > 1]
    found = np.concatenate(squares) if squares else np.zeros(0)
    own = max(0.0, float(found.mean())) if found.size else 0.0
    squared = (PRIOR_DF * natural**2 + found.size * own) / (PRIOR_DF + found.size)
    return float(np.sqrt(squared)), PRIOR_DF + found.size


def _squares(series: Series) -> Floats:
    chance = series.variances[1:] + series.variances[:-1]
    return np.asarray((np.diff(series.values) ** 2 - chance) / 2, np.float64)


def find_change(series: Series, tau: float, df: float) -> Change | None:
    """Return the most improbable change of a series; None where it has too few months."""
    count = len(series.values)
    splits = range(MIN_SIDE, count - MIN_SIDE + 1)
    if not splits:
        return None
    weights = 1 / (series.variances + tau**2)
    best = Change(0, 0.0, 2.0)
    for first in splits:
        before, after = slice(None, first), slice(first, None)
        difference = float(
            np.average(series.values[after], weights=weights[after])
            - np.average(series.values[before], weights=weights[before])
        )
        deviation = np.sqrt(1 / weights[before].sum() + 1 / weights[after].sum())
        probability = float(t_probability(difference / deviation, df))
        if probability < best.probability:
            best = Change(first, difference, probability)
    return best._replace(probability=min(1.0, best.probability * len(splits)))
