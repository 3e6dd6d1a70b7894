"""Compare every group of every dimension with the others, and say which differ by more than chance and nature.

A group is a finding where both hold: chance alone does not explain it (exact binomial, for shares), and neither does
the natural variation between groups (`statistics.random_effects`). All comparisons of an audit together have a false
finding with a probability of about `FALSE_ALARM`. Half of it is for completeness, the main question; each half is
divided among its tables (weighted Bonferroni), and within a table among its groups (Sidak).
"""

from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.audit.data.exams import UNKNOWN
from service.audit.groups import Grouping
from service.audit.measures import Measure
from service.audit.statistics.intervals import Floats, chance_probability, clopper_pearson, t_quantile
from service.audit.statistics.random_effects import (
    NATURAL_MEAN,
    NATURAL_MONTHS,
    NATURAL_SHARE,
    Comparison,
    Groups,
    compare,
    share_of,
    share_scale,
)

FALSE_ALARM = 0.01
"""The probability of any false finding in an audit of exams without effects."""

_MIN_EXAMS = 2  # of a group, for the variance of a mean


def _nothing() -> Floats:
    return np.zeros(0)


@dataclass(frozen=True, slots=True, eq=False)
class GroupTable:
    """The shown groups of one dimension in one measure; all columns have one entry per group.

    Attributes
    ----------
    exams, values, deviations
        Numbers of exams, their means or shares, and the standard deviations from exam to exam.
    comparison, expected
        With the other groups; what they lead to expect, NaN without any.
    low, high
        95 % intervals: exact ones of shares (Clopper-Pearson), of means by Student's t.
    lower, upper
        The limits of a finding.
    chance
        The exact probability of such a share by chance alone.
    flagged, alpha
        Which groups are findings; the probability below which one is.
    """

    grouping: Grouping
    measure: Measure
    names: list[str]
    parents: list[str]
    exams: NDArray[np.int64]
    values: Floats
    deviations: Floats
    comparison: Comparison
    expected: Floats
    low: Floats = field(default_factory=_nothing)
    high: Floats = field(default_factory=_nothing)
    lower: Floats = field(default_factory=_nothing)
    upper: Floats = field(default_factory=_nothing)
    chance: Floats = field(default_factory=_nothing)
    flagged: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, np.bool_))
    alpha: float = np.nan

    @property
    def compared(self) -> int:
        """The number of groups that have others."""
        return int(np.isfinite(self.comparison.probability).sum())


def compare_groups(grouping: Grouping, measure: Measure, min_group: int) -> GroupTable:
    """Return the shown groups with a measure, without intervals and limits, which `finish` adds."""
    valid = np.isfinite(measure.values)
    count = len(grouping.names)
    exams = np.bincount(grouping.codes[valid], minlength=count)
    total = np.bincount(grouping.codes[valid], measure.values[valid], minlength=count)
    squares = np.bincount(grouping.codes[valid], measure.values[valid] ** 2, minlength=count)
    rows = np.flatnonzero(grouping.shown & (exams >= max(1, min_group)))
    n = exams[rows].astype(np.float64)
    values = total[rows] / n
    own = np.maximum(0, squares[rows] - n * values**2) / np.maximum(1, n - 1)
    named = np.array([grouping.names[row] != UNKNOWN for row in rows], np.bool_) & (n >= _MIN_EXAMS)
    parents = [grouping.parents[row] for row in rows]
    comparison = _compare(measure, values, n, own, _Compared(parents, named, grouping.dimension))
    expected = share_of(comparison.expected) if measure.is_share else comparison.expected
    return GroupTable(
        grouping, measure, [grouping.names[row] for row in rows], parents, exams[rows], values, np.sqrt(own),
        comparison, expected,
    )  # fmt: skip


class _Compared(NamedTuple):
    parents: list[str]
    named: NDArray[np.bool_]  # the groups that are compared
    dimension: str


def _compare(measure: Measure, values: Floats, n: Floats, own: Floats, compared: _Compared) -> Comparison:
    """Compare the named groups; `own` are variances from exam to exam."""
    columns = np.full((5, len(values)), np.nan)
    named, within = compared.named, _within(own, n)
    if measure.is_share:
        groups = share_scale(values), 1 / (4 * n), NATURAL_SHARE
    else:  # a group of few exams may show too little of its variance
        groups = values, np.maximum(own, within) / n, NATURAL_MEAN * within**0.5
    natural = groups[2] * (NATURAL_MONTHS if compared.dimension == "month" else 1)
    if named.any() and natural > 0:
        _, codes = np.unique(np.array(compared.parents, dtype=object)[named], return_inverse=True)
        columns[:, named] = compare(Groups(groups[0][named], groups[1][named], codes, natural))
    return Comparison(*columns)


def _within(own: Floats, n: Floats) -> float:
    """Return the variance from exam to exam, of all groups together."""
    degrees = np.maximum(0, n - 1)
    return float((own * degrees).sum() / degrees.sum()) if degrees.sum() else 0.0


def allowed(main: int, others: int) -> tuple[float, float]:
    """Return the probability of a false finding that each table of completeness may have, and each other table."""
    halves = FALSE_ALARM if not main or not others else FALSE_ALARM / 2
    return halves / max(1, main), halves / max(1, others)


def finish(tables: list[GroupTable], levels: list[float]) -> list[GroupTable]:
    """Return the tables with intervals, limits and findings; `levels` are what `allowed` returns for each.

    The functions behind them work on arrays, so all groups of all tables are computed together.
    """
    if not tables:
        return []
    sizes = [len(table.names) for table in tables]
    alphas = [1 - (1 - level) ** (1 / max(1, table.compared)) for table, level in zip(tables, levels, strict=True)]
    n = np.concatenate([table.exams for table in tables]).astype(np.float64)
    counts = np.round(n * np.concatenate([table.values for table in tables]))
    shares = np.repeat([table.measure.is_share for table in tables], sizes)
    half = t_quantile(0.05, np.maximum(1, n - 1)) * np.concatenate([table.deviations for table in tables]) / np.sqrt(n)
    intervals = np.array([counts / n, counts / n])
    intervals[:, shares] = clopper_pearson(counts[shares], n[shares])
    df = np.concatenate([np.nan_to_num(table.comparison.df, nan=1.0) for table in tables])
    quantiles = t_quantile(np.repeat(alphas, sizes), df)
    ends = np.cumsum(sizes)
    spans = [slice(end - size, end) for end, size in zip(ends, sizes, strict=True)]
    return [
        _finish(table, alpha, quantiles[span], intervals[:, span] if table.measure.is_share else half[span])
        for table, alpha, span in zip(tables, alphas, spans, strict=True)
    ]


def _finish(table: GroupTable, alpha: float, quantiles: Floats, interval: Floats) -> GroupTable:
    found, is_share = table.comparison, table.measure.is_share
    lower, upper = found.expected - quantiles * found.deviation, found.expected + quantiles * found.deviation
    flagged = np.nan_to_num(found.probability, nan=1.0) < alpha
    chance = np.full(len(table.names), np.nan)
    if is_share:
        lower, upper = share_of(lower), share_of(upper)
        known = np.isfinite(table.expected)
        counts = np.round(table.exams * table.values)
        chance[known] = chance_probability(counts[known], table.exams[known], table.expected[known])
        flagged &= np.nan_to_num(chance, nan=1.0) < alpha
        low, high = interval
    else:
        low, high = table.values - interval, table.values + interval
    return replace(
        table, low=low, high=high, lower=lower, upper=upper, chance=chance, flagged=flagged, alpha=alpha
    )  # fmt: skip
