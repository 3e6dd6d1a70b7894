"""Drift within the audited time: monthly means of all exams, and of each machine in comparison with the others."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from service.audit.data.exams import UNKNOWN, Exams
from service.audit.groups import Grouping, hide_cells
from service.audit.measures import Measure
from service.audit.statistics.changes import Change, Series, find_change, month_spread
from service.audit.statistics.intervals import Floats
from service.audit.statistics.random_effects import NATURAL_MEAN, NATURAL_MONTHS, NATURAL_SHARE, share_scale

ALL = "all exams"
_OF_MACHINES = ("confidence", "ood")
_OF_MODEL = ("abstention", *_OF_MACHINES)  # a change of the model changes them, so each model has its own series
_MIN_OTHERS = 3  # machines in the same month, for a comparison with them


@dataclass(frozen=True, slots=True, eq=False)
class DriftSeries:
    """The monthly means of a group in one measure.

    Attributes
    ----------
    measure, group, model
        What is measured; a machine, or all exams; the model that answered, None for all models.
    months, exams, values
        The months that are shown, in order; their numbers of exams, and means.
    tested
        What is tested for a change: the means on a scale with constant variance; those of a machine less the mean of
        the other machines in the same month, where there are enough.
    change, flagged
        The most improbable change, and whether it is a finding.
    """

    measure: Measure
    group: str
    model: str | None
    months: list[str]
    exams: NDArray[np.int64]
    values: Floats
    tested: Series
    change: Change | None = None
    flagged: bool = False

    @property
    def is_all(self) -> bool:
        """Whether it is the series of all exams, not of a machine."""
        return self.group == ALL


def find_drift(
    exams: Exams, measures: list[Measure], groupings: dict[str, Grouping], min_group: int
) -> list[list[DriftSeries]]:
    """Return families of series, each with its most improbable change; none without months."""
    if "month" not in groupings:
        return []
    months = groupings["month"]
    families = [[each for measure in measures for each in _of_all(exams, measure, months)]]
    if machines := groupings.get("machine"):
        families += [
            _of_machines(exams, measure, months, machines, min_group)
            for measure in measures
            if measure.kind in _OF_MACHINES
        ]
    return [family for family in families if any(each.change for each in family)]


def flag_drift(families: list[list[DriftSeries]], level: float) -> list[DriftSeries]:
    """Return all series, with findings; `level` is the probability of a false finding that each family may have."""
    found: list[DriftSeries] = []
    for family in families:
        alpha = 1 - (1 - level) ** (1 / len(family))
        found += [replace(each, flagged=each.change is not None and each.change.probability < alpha) for each in family]
    return found


def _of_all(exams: Exams, measure: Measure, months: Grouping) -> Iterator[DriftSeries]:
    if measure.kind == "item":
        return
    models = _models(exams) if measure.kind in _OF_MODEL else [None]
    for model in models:
        cells = _Cells.of(measure, _mask(exams, measure, model), np.zeros_like(months.codes), 1, months)
        shown = (cells.exams >= 2) & months.shown & _named(months)
        series = cells.series(0, shown[0])
        yield _test(
            DriftSeries(measure, ALL, model, *cells.shown(0, shown[0], months), series), [series], measure, cells
        )


def _of_machines(
    exams: Exams, measure: Measure, months: Grouping, machines: Grouping, min_group: int
) -> list[DriftSeries]:
    found = []
    for model in _models(exams):
        mask = _mask(exams, measure, model)
        cells = _Cells.of(measure, mask, machines.codes, len(machines.names), months)
        shown = hide_cells(cells.exams, max(2, min_group))
        shown &= _named(months) & months.shown & (machines.shown & _named(machines))[:, None]
        rows = [row for row in range(len(machines.names)) if shown[row].any()]
        series = {row: _relative(cells, shown, row) for row in rows}
        for row in rows:
            others = [series[other] for other in rows if other != row] or [series[row]]
            about = DriftSeries(
                measure, machines.names[row], model, *cells.shown(row, shown[row], months), series[row]
            )  # fmt: skip
            found.append(_test(about, others, measure, cells))
    return found


def _test(about: DriftSeries, spread_of: list[Series], measure: Measure, cells: "_Cells") -> DriftSeries:
    natural = NATURAL_MONTHS * (NATURAL_SHARE if measure.is_share else NATURAL_MEAN * cells.within**0.5)
    if natural == 0:
        return about
    return replace(about, change=find_change(about.tested, *month_spread(spread_of, natural)))


def _models(exams: Exams) -> list[str]:
    return sorted(set(exams.model))


def _mask(exams: Exams, measure: Measure, model: str | None) -> NDArray[np.bool_]:
    of_model = np.ones(len(exams), np.bool_) if model is None else exams.model == model
    return np.asarray(of_model & np.isfinite(measure.values), np.bool_)


def _named(grouping: Grouping) -> NDArray[np.bool_]:
    return np.array([each != UNKNOWN for each in grouping.names], np.bool_)


@dataclass(frozen=True, slots=True, eq=False)
class _Cells:
    """Exams, means and variances of each group [rows] in each month [columns]."""

    exams: NDArray[np.int64]
    means: Floats
    values: Floats  # the means on the scale of the test
    variances: Floats
    within: float  # the variance from exam to exam

    @classmethod
    def of(
        cls, measure: Measure, mask: NDArray[np.bool_], rows: NDArray[np.int64], count: int, months: Grouping
    ) -> "_Cells":
        shape = count, len(months.names)
        cells = (rows * shape[1] + months.codes)[mask]
        kept = measure.values[mask]

        def total(weights: Floats | None) -> Floats:
            return np.bincount(cells, weights, minlength=count * shape[1]).reshape(shape).astype(np.float64)

        n, sums, squares = total(None), total(kept), total(kept**2)
        means = sums / np.maximum(1, n)
        spread = np.maximum(0, squares - n * means**2)
        within = float(spread.sum() / max(1, np.maximum(0, n - 1).sum()))
        own = np.maximum(spread / np.maximum(1, n - 1), within)
        values = share_scale(means) if measure.is_share else means
        variances = (0.25 if measure.is_share else own) / np.maximum(1, n)
        return cls(n.astype(np.int64), means, values, variances, within)

    def series(self, row: int, shown: NDArray[np.bool_]) -> Series:
        return Series(self.values[row, shown], self.variances[row, shown])

    def shown(
        self, row: int, shown: NDArray[np.bool_], months: Grouping
    ) -> tuple[list[str], NDArray[np.int64], Floats]:
        names = [name for name, seen in zip(months.names, shown, strict=True) if seen]
        return names, self.exams[row, shown], self.means[row, shown]


def _relative(cells: _Cells, shown: NDArray[np.bool_], row: int) -> Series:
    """Return the months of a machine, less the mean of the others in the same month where there are enough."""
    others = shown.copy()
    others[row] = False
    counts = others.sum(axis=0)
    series = cells.series(row, shown[row])
    if (counts[shown[row]] < _MIN_OTHERS).any():
        return series
    means = np.where(others, cells.values, 0).sum(axis=0) / np.maximum(1, counts)
    variances = np.where(others, cells.variances, 0).sum(axis=0) / np.maximum(1, counts) ** 2
    return Series(series.values - means[shown[row]], series.variances + variances[shown[row]])
