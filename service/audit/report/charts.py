"""The geometry of the charts; `charts.svg.jinja` draws them."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from service.audit.comparison import GroupTable
from service.audit.drift import DriftSeries
from service.audit.measures import Measure
from service.audit.statistics.intervals import Floats, binomial_limits, t_quantile
from service.audit.statistics.random_effects import share_of, share_scale

WIDTH, HEIGHT = 680.0, 250.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 62.0, 12.0, 10.0, 40.0
_CURVE_POINTS = 40
_BARS = 25
_TICKS = 6


class Line(NamedTuple):
    """A line through points, as SVG has them; `kind` is its class."""

    points: str
    kind: str


class Mark(NamedTuple):
    """A point with a text for its tooltip; one with a `label` is a finding, which the label names."""

    x: float
    y: float
    text: str
    label: str = ""


class Bar(NamedTuple):
    """A rectangle."""

    x: float
    y: float
    width: float
    height: float


class Tick(NamedTuple):
    """A place on an axis, and its text."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Chart:
    """What a chart draws, in the units of SVG; `description` says in words what it shows."""

    title: str
    description: str
    x_label: str
    y_label: str
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    lines: list[Line] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    bars: list[Bar] = field(default_factory=list)
    whiskers: list[Line] = field(default_factory=list)


class _Axis(NamedTuple):
    """Maps values onto an axis, between two places."""

    low: float
    high: float
    first: float
    last: float

    def at(self, value: float) -> float:
        return round(self.first + (value - self.low) / (self.high - self.low) * (self.last - self.first), 1)

    def ticks(self, measure: Measure | None = None) -> list[Tick]:
        """Return ticks at round numbers."""
        unit = 10.0 ** math.floor(math.log10((self.high - self.low) / _TICKS))
        step = next(unit * each for each in (1, 2, 5, 10) if (self.high - self.low) / (unit * each) <= _TICKS)
        values = np.arange(math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9) + 1) * step
        return [Tick(self.at(each), measure.show(each) if measure else f"{each:,.0f}") for each in values.tolist()]


def _x_axis(low: float, high: float) -> _Axis:
    return _Axis(low, high if high > low else low + 1, _LEFT, WIDTH - _RIGHT)


def _y_axis(measure: Measure, *values: Iterable[float]) -> _Axis:
    found = np.concatenate([np.asarray(list(each), np.float64) for each in values])
    found = found[np.isfinite(found)]
    low, high = (float(found.min()), float(found.max())) if found.size else (0.0, 1.0)
    margin = 0.08 * (high - low) or 0.01
    low, high = low - margin, high + margin
    if measure.is_share or measure.kind in ("abstention", "confidence"):
        low, high = max(0.0, low), min(1.0, high)
    return _Axis(low, high, HEIGHT - _BOTTOM, _TOP)


def _points(x: Iterable[float], y: Iterable[float]) -> str:
    return " ".join(f"{left},{top}" for left, top in zip(x, y, strict=True))


def funnel(table: GroupTable) -> Chart:
    """Return the funnel plot of a share: groups by their number of exams, in the limits of chance and of nature."""
    found = table.comparison
    known = np.isfinite(found.probability)
    usual = table.exams * ~table.flagged if not table.flagged.all() else table.exams
    center = float((table.values * usual).sum() / usual.sum())
    scaled = share_scale(np.array([center]))[0]
    nested = len(set(table.parents)) > 1
    # A machine or operator is compared with those of its site, so the chart shows its distance from them.
    adjusted = share_of(scaled + share_scale(table.values) - found.expected) if nested else table.values
    adjusted = adjusted[known]
    n, most = table.exams[known], float(table.exams[known].max())
    at = np.unique(np.linspace(max(5.0, 0.5 * float(n.min())), 1.05 * most, _CURVE_POINTS).astype(np.int64))
    # The limits of the most improbable group: those of the others are wider, as they count it among the others.
    most_improbable = int(np.nanargmin(found.probability))
    t = float(t_quantile(table.alpha, float(found.df[most_improbable])))
    half = t * np.sqrt(1 / (4 * at) + float(found.tau[most_improbable]) ** 2)
    nature = [share_of(scaled - half), share_of(np.minimum(np.pi / 2, scaled + half))]
    chance = binomial_limits(at, center, table.alpha)
    x = _x_axis(0, 1.05 * most)
    y = _y_axis(table.measure, adjusted, *nature)
    curves = [(nature, "limit"), (chance, "chance")]
    lines = [
        Line(_points(map(x.at, at), [y.at(min(max(each, y.low), y.high)) for each in side]), kind)
        for sides, kind in curves
        for side in sides
    ]
    lines.append(Line(_points([x.first, x.last], [y.at(center)] * 2), "center"))
    names, flagged = np.array(table.names, dtype=object)[known], table.flagged[known]
    marks = [
        Mark(x.at(float(size)), y.at(value), f"{name}: {table.measure.show(value)}, {size} exams", name if bad else "")
        for size, value, name, bad in zip(n, adjusted, names, flagged, strict=True)
    ]
    level = "adjusted to the mean of all" if nested else "as measured"
    return Chart(
        f"{table.measure.label}, by {table.grouping.dimension}",
        f"Funnel plot of {len(marks)} groups, {level}. Findings: {_named(marks)}.",
        "Number of exams", f"Share ({level})", x.ticks(), y.ticks(table.measure), lines, marks,
    )  # fmt: skip


def _named(marks: Sequence[Mark]) -> str:
    return ", ".join(mark.label for mark in marks if mark.label) or "none"


def control(table: GroupTable) -> Chart:
    """Return the control chart of a measure by month: values with intervals, the expected values, and the limits."""
    x = _x_axis(-0.5, len(table.names) - 0.5)
    y = _y_axis(table.measure, table.values, table.low, table.high, table.lower, table.upper)
    places = [x.at(number) for number in range(len(table.names))]

    def line(values: Floats, kind: str) -> list[Line]:
        if not np.isfinite(values).all():
            return []
        return [Line(_points(places, [y.at(min(max(each, y.low), y.high)) for each in values]), kind)]

    marks = [
        Mark(place, y.at(value), f"{name}: {table.measure.show(value)}, {size} exams", name if bad else "")
        for place, value, name, size, bad in zip(
            places, table.values, table.names, table.exams, table.flagged, strict=True
        )
    ]
    whiskers = [
        Line(_points([place, place], [y.at(low), y.at(high)]), "whisker")
        for place, low, high in zip(places, table.low, table.high, strict=True)
        if np.isfinite([low, high]).all()
    ]
    lines = [*line(table.expected, "center"), *line(table.lower, "limit"), *line(table.upper, "limit")]
    return Chart(
        f"{table.measure.label}, by month",
        f"Control chart of {len(marks)} months. Findings: {_named(marks)}.",
        "Month", "Value with 95 % interval", [Tick(*each) for each in zip(places, table.names, strict=True)],
        y.ticks(table.measure), lines, marks, whiskers=whiskers,
    )  # fmt: skip


def drift(series: Sequence[DriftSeries]) -> Chart | None:
    """Return the monthly means of each machine in one measure; those with a finding are bold and named."""
    machines = [each for each in series if not each.is_all and len(each.months) > 1]
    if not machines:
        return None
    months = sorted({month for each in machines for month in each.months})
    measure = machines[0].measure
    x, y = _x_axis(-0.5, len(months) - 0.5), _y_axis(measure, *(each.values for each in machines))
    lines, marks = [], []
    for each in sorted(machines, key=lambda one: one.flagged):
        places = [x.at(months.index(month)) for month in each.months]
        lines.append(Line(_points(places, map(y.at, each.values)), "series found" if each.flagged else "series"))
        if each.flagged:
            marks.append(Mark(places[-1], y.at(each.values[-1]), each.group, each.group))
    return Chart(
        f"{measure.label}, by machine and month",
        f"Monthly means of {len(machines)} machines. Findings: {_named(marks)}.",
        "Month", "Mean", [Tick(x.at(number), month) for number, month in enumerate(months)], y.ticks(measure),
        lines, marks,
    )  # fmt: skip


def histogram(values: Floats, title: str, x_label: str) -> Chart:
    """Return the distribution over exams up to the 99th percentile; the last bar holds all exams beyond it."""
    top = max(1.0, float(np.quantile(values, 0.99)))
    step = math.ceil(top / _BARS)
    edges = np.arange(math.ceil(top / step) + 1) * step
    counts, _ = np.histogram(np.minimum(values, edges[-1] - 1), edges)
    x = _x_axis(0, float(edges[-1]))
    y = _Axis(0, float(counts.max()), HEIGHT - _BOTTOM, _TOP)
    bars = [
        Bar(x.at(first) + 0.5, y.at(count), max(0.5, x.at(last) - x.at(first) - 1), round(y.first - y.at(count), 1))
        for first, last, count in zip(edges[:-1].tolist(), edges[1:].tolist(), counts.tolist(), strict=True)
    ]
    description = f"Histogram. Half of the exams have {np.median(values):.0f} or fewer."
    return Chart(title, description, x_label, "Exams", x.ticks(), y.ticks(), bars=bars)
