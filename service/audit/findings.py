"""What an audit found: groups that differ from the others, and lasting changes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from service.audit.comparison import GroupTable
from service.audit.drift import DriftSeries
from service.audit.measures import Measure


@dataclass(frozen=True, slots=True)
class Finding:
    """A difference that neither chance nor the natural variation explains. It is an association, and blames nobody.

    Attributes
    ----------
    dimension, group
        Such as `operator` and its pseudonym; `month` is the month of a change.
    measure, value, expected
        What differs, the value, and what the other groups, or the months before, lead to expect.
    lower, upper
        The limits; NaN for a change.
    probability
        Of such a difference, for all comparisons of its table together.
    """

    dimension: str
    group: str
    month: str | None
    measure: Measure
    exams: int
    value: float
    expected: float
    lower: float
    upper: float
    probability: float

    @property
    def name(self) -> str:
        """The group with its dimension."""
        is_clear = self.dimension == "all" or self.group.startswith(self.dimension)
        return self.group if is_clear else f"{self.dimension} {self.group}"

    @property
    def text(self) -> str:
        """The finding as a sentence."""
        show = self.measure.show
        if self.month is not None:
            return (
                f"{self.measure.label}: {show(self.value)} from {self.month} on, {show(self.expected)} before "
                f"({self.exams} exams)."
            )
        return (
            f"{self.measure.label}: {show(self.value)} of {self.exams} exams; expected {show(self.expected)}, limits "
            f"{show(self.lower)} to {show(self.upper)}."
        )


def list_findings(tables: Sequence[GroupTable], series: Sequence[DriftSeries]) -> list[Finding]:
    """Return all findings, the most improbable first."""
    found = [*_of_tables(tables), *_of_series(series)]
    return sorted(found, key=lambda each: (each.probability, each.dimension, each.group, each.measure.label))


def _of_tables(tables: Sequence[GroupTable]) -> Iterator[Finding]:
    for table in tables:
        for row in np.flatnonzero(table.flagged).tolist():
            yield Finding(
                table.grouping.dimension, table.names[row], None, table.measure, int(table.exams[row]),
                float(table.values[row]), float(table.expected[row]), float(table.lower[row]), float(table.upper[row]),
                min(1.0, float(table.comparison.probability[row]) * table.compared),
            )  # fmt: skip


def _of_series(series: Sequence[DriftSeries]) -> Iterator[Finding]:
    for each in series:
        if each.flagged and each.change is not None:
            first = each.change.first
            before, after = slice(None, first), slice(first, None)
            yield Finding(
                "all" if each.is_all else "machine", each.group, each.months[first], each.measure,
                int(each.exams.sum()), float(np.average(each.values[after], weights=each.exams[after])),
                float(np.average(each.values[before], weights=each.exams[before])), np.nan, np.nan,
                each.change.probability,
            )  # fmt: skip
