"""Render an audit as one HTML page: no script, no external resource, laid out for A4."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from service.audit.comparison import FALSE_ALARM, GroupTable
from service.audit.report.charts import HEIGHT, WIDTH, Chart, control, drift, funnel, histogram
from service.audit.report.tables import Table
from service.audit.result import Audit
from service.audit.statistics.random_effects import NATURAL_MEAN, NATURAL_SHARE, PRIOR_DF
from service.reports.html_page import POLICY, created_now, page_templates

_MIN_FUNNEL = 3  # groups


class GroupSection(NamedTuple):
    """A chart and the table below it."""

    chart: Chart | None
    table: GroupTable


def render(audit: Audit, tables: list[Table]) -> str:
    """Return the page; the template escapes every text of a source."""
    return _TEMPLATE.render(
        audit=audit,
        tables={each.name: each for each in tables},
        policy=POLICY,
        created=created_now(),
        period=_period(audit),
        sections=_sections(audit),
        frames_chart=histogram(audit.exams.frames.astype(np.float64), "Frames per exam", "Frames"),
        drift_charts=_drift_charts(audit),
        notes=notes(audit),
        false_alarm=FALSE_ALARM,
        natural_share=NATURAL_SHARE,
        natural_mean=NATURAL_MEAN,
        prior_df=PRIOR_DF,
        width=WIDTH,
        height=HEIGHT,
    )


def _period(audit: Audit) -> str:
    months = (
        [name for name in audit.groupings["month"].names if name[0].isdigit()] if "month" in audit.groupings else []
    )
    return f"{months[0]} to {months[-1]}" if months else ""


def _sections(audit: Audit) -> dict[str, list[GroupSection]]:
    """Return what to show in the parts of the page: completeness, frames per exam, and abstention."""
    kinds = {"complete": "completeness", "frames": "frames", "abstention": "abstention"}
    sections: dict[str, list[GroupSection]] = {each: [] for each in kinds.values()}
    for table in audit.tables:
        if table.measure.kind in kinds and table.names:
            sections[kinds[table.measure.kind]].append(GroupSection(_chart(table), table))
    return sections


def _chart(table: GroupTable) -> Chart | None:
    if table.grouping.dimension == "month":
        return control(table) if len(table.names) > 1 else None
    return funnel(table) if table.measure.is_share and table.compared >= _MIN_FUNNEL else None


def _drift_charts(audit: Audit) -> list[Chart]:
    months = [each for each in audit.tables if each.grouping.dimension == "month" and len(each.names) > 1]
    charts = [control(each) for each in months if each.measure.kind in ("confidence", "ood")]
    by_kind = {kind: [each for each in audit.series if each.measure.kind == kind] for kind in ("confidence", "ood")}
    return charts + [chart for series in by_kind.values() if (chart := drift(series)) is not None]


def notes(audit: Audit) -> list[str]:
    """Return what a reader must know about the data, a sentence each."""
    return list(_notes(audit))


def _notes(audit: Audit) -> Iterator[str]:
    read, counts = audit.read, audit.exams.counts
    yield f"{read.rows} rows were read: {counts.frames} frames count; {read.refused} were refused when they were read."
    if read.damaged:
        yield f"{read.damaged} rows are damaged, or lack a needed value; they do not count."
    if counts.duplicates:
        yield f"{counts.duplicates} rows repeat a frame of the same exam; each frame counts once."
    if read.absent:
        yield f"No source has the columns {', '.join(read.absent)} (--audit-columns); they are not compared."
    if counts.unnamed:
        yield f"{counts.unnamed} exams state no study: each folder of files counts as one exam."
    if counts.months:
        yield f"{counts.months} exams have frames of several months; they belong to the first."
    if counts.groups:
        yield f"{counts.groups} exams have several sites, machines or operators; they belong to the most frequent one."
    models = len(set(audit.exams.model))
    if models > 1:
        yield (
            f"{models} models answered ({counts.models} exams have answers of several). A difference of groups or "
            "months in abstention, confidence or OOD score may be one of models; drift is sought within each model."
        )
    for dimension, grouping in audit.groupings.items():
        if grouping.hidden:
            yield (
                f"{grouping.hidden} of {len(grouping.names)} groups by {dimension} are hidden: some have fewer than "
                f"{audit.options.min_group} exams, others would give those away by a difference."
            )
    yield from _corrections_notes(audit)


def _corrections_notes(audit: Audit) -> Iterator[str]:
    corrected = audit.corrected
    if corrected is None:
        yield "No source has corrections, so agreement with people is not known."
        return
    if corrected.unmatched:
        yield f"{corrected.unmatched} corrections are of frames that no source holds; they do not count."
    if corrected.damaged:
        yield f"{corrected.damaged} corrections are damaged; they do not count."
    if audit.agreement is None:
        yield f"Corrections of fewer than {audit.options.min_group} exams: agreement is not shown."


_ENVIRONMENT = page_templates(Path(__file__).parent)
_ENVIRONMENT.filters["number"] = lambda value: "" if value is None or value != value else f"{value:.3f}"
_ENVIRONMENT.filters["percent"] = lambda value: "" if value is None or value != value else f"{100 * value:.1f} %"
_TEMPLATE = _ENVIRONMENT.get_template("audit.html.jinja")
