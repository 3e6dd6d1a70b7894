"""Compare each group with the others, where groups differ naturally.

Hospitals, machines and people differ without anything being wrong, so limits of chance alone would flag most groups
with many exams. The model is that of D. J. Spiegelhalter, Statistics in Medicine 24 (2005), doi 10.1002/sim.1970:
the true values of groups scatter around their mean with the standard deviation tau (additive random effects).

For each group, tau and the expected value come from the *other* groups alone: a group does not hide itself by widening
its own limits. With few groups tau is known badly; a prior of `PRIOR_DF` degrees of freedom holds it near a natural
variation, unless the groups contradict that, and the limits are those of Student's t.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.audit.statistics.intervals import Floats, beta_cdf, t_probability

PRIOR_DF = 10.0
"""How many degrees of freedom the assumed natural variation counts for."""

NATURAL_SHARE = 0.04
"""Assumed natural variation of a share, on the scale asin(sqrt(share)): a standard deviation of 3.2 points at 80 %."""

NATURAL_MEAN = 0.1
"""Assumed natural variation of a mean, as a part of the standard deviation from exam to exam."""

NATURAL_MONTHS = 0.5
"""Part of these that is assumed from month to month: the same people and machines vary less than different ones."""

_MIN_SIBLINGS = 3  # of the same site; with fewer, all other groups are the siblings
_HALVINGS = 50
_CONFLICT = 0.05  # the probability below which the groups vary more than is natural


class Groups(NamedTuple):
    """The values of the groups of one dimension, on a scale on which they scatter like normal variables.

    Attributes
    ----------
    values, variances
        Of each group; the variance is that of chance.
    parents
        The number of the group that each belongs to, such as the site of an operator.
    natural
        The assumed natural variation.
    """

    values: Floats
    variances: Floats
    parents: NDArray[np.int64]
    natural: float


class Comparison(NamedTuple):
    """For each group: what the other groups lead to expect, the limits' standard deviation, and how improbable it is.

    `tau` and `df` are those of the natural variation; NaN for everything where a group has fewer than two others.
    """

    expected: Floats
    deviation: Floats
    tau: Floats
    df: Floats
    probability: Floats


def share_scale(shares: Floats) -> Floats:
    """Return asin(sqrt(share)), on which the variance of chance is 1 / (4 n) whatever the share is."""
    return np.asarray(np.arcsin(np.sqrt(np.clip(shares, 0, 1))), np.float64)


def share_of(values: Floats) -> Floats:
    """Return the share at a place of `share_scale`."""
    return np.asarray(np.sin(np.clip(values, 0, np.pi / 2)) ** 2, np.float64)


def compare(groups: Groups) -> Comparison:
    """Return the comparison of each group with the others."""
    rows = [_compare_one(groups, each) for each in range(len(groups.values))]
    columns = np.array(rows, np.float64).reshape(-1, 5).T
    return Comparison(*columns)


def _compare_one(groups: Groups, number: int) -> tuple[float, float, float, float, float]:
    others = np.arange(len(groups.values)) != number
    siblings = others & (groups.parents == groups.parents[number])
    parents = groups.parents
    if siblings.sum() < _MIN_SIBLINGS:
        siblings, parents = others, np.zeros_like(parents)
    if siblings.sum() < 2:
        return (np.nan,) * 5
    tau, df = spread(groups.values[others], groups.variances[others], parents[others], groups.natural)
    weights = 1 / (groups.variances[siblings] + tau**2)
    expected = float(np.average(groups.values[siblings], weights=weights))
    deviation = float(np.sqrt(groups.variances[number] + tau**2 + 1 / weights.sum()))
    t = (groups.values[number] - expected) / deviation
    return expected, deviation, tau, df, float(t_probability(t, df))


def spread(values: Floats, variances: Floats, parents: NDArray[np.int64], natural: float) -> tuple[float, float]:
    """Return tau between groups of the same parent, and its degrees of freedom.

    It is the estimate of Paule and Mandel (1982), averaged with the natural variation by degrees of freedom. Where the
    estimate is larger than that allows (F test), it stands alone.
    """
    df = len(values) - len(np.unique(parents))
    squared = _paule_mandel(values, variances, parents, df) if df else 0.0
    if df and _f_probability(squared / natural**2, df, PRIOR_DF) < _CONFLICT:
        return float(np.sqrt(squared)), float(df)
    squared = (PRIOR_DF * natural**2 + df * squared) / (PRIOR_DF + df)
    return float(np.sqrt(squared)), PRIOR_DF + df


def _f_probability(ratio: float, first: float, second: float) -> float:
    """Return the probability that Fisher's F exceeds a ratio."""
    return float(beta_cdf(second / (second + first * ratio), second / 2, first / 2))


def _paule_mandel(values: Floats, variances: Floats, parents: NDArray[np.int64], df: int) -> float:
    """Return the squared tau at which the standardized squares add up to their expectation; 0 if chance is enough."""
    _, codes = np.unique(parents, return_inverse=True)

    def squares(tau: float) -> float:
        weights = 1 / (variances + tau)
        means = np.bincount(codes, weights * values) / np.bincount(codes, weights)
        return float((weights * (values - means[codes]) ** 2).sum())

    if squares(0.0) <= df:
        return 0.0
    low, high = 0.0, float(np.var(values) + variances.max())
    while squares(high) > df:
        high *= 2
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if squares(middle) > df else (low, middle)
    return high
