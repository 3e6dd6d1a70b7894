"""The tables of an audit's results."""

import numpy as np

from service.audit.data.exams import DIMENSIONS, STATES
from service.audit.report.model_tables import agreement_tables, card_table, frames_table, models_table
from service.audit.report.tables import Column, Table, Value
from service.audit.result import Audit
from service.audit.statistics.intervals import clopper_pearson
from service.schemas.protocols import Protocol

_MEASURE = (
    Column("measure", "text", "complete, item, frames, abstention, confidence or ood"),
    Column("protocol", "text", "Id of the protocol, of complete and item"),
    Column("item", "text", "Label of the item"),
)
_GROUP = (
    *_MEASURE,
    Column("group", "text", "Name of the group; operators have pseudonyms"),
    Column("site", "text", "Site of the group's exams; it is compared with the other groups of the site"),
    Column("exams", "integer", "Number of its exams"),
    Column("value", "number", "Share of its exams, or mean over them"),
    Column("low", "number", "Lower end of the 95 % interval; exact for shares"),
    Column("high", "number", "Upper end of the 95 % interval"),
    Column("expected", "number", "What the other groups lead to expect"),
    Column("lower_limit", "number", "Lower limit of a finding"),
    Column("upper_limit", "number", "Upper limit of a finding"),
    Column("chance", "number", "Exact probability of such a share by chance alone, of one comparison"),
    Column("probability", "number", "Probability with the natural variation between groups, of one comparison"),
    Column("finding", "boolean", "Whether both are below what all comparisons together allow"),
)
_PLURAL = {"site": "sites", "machine": "machines", "operator": "operators", "month": "months"}


def make_tables(audit: Audit) -> list[Table]:
    """Return all tables but that of the exams."""
    return [
        _findings(audit),
        *(_items(audit, each) for each in audit.options.protocols),
        *(_groups(audit, dimension) for dimension in DIMENSIONS if dimension in audit.groupings),
        frames_table(audit),
        _machine_months(audit),
        card_table(audit),
        *agreement_tables(audit),
        _outliers(audit),
        models_table(audit),
    ]


def _findings(audit: Audit) -> Table:
    columns = (
        Column("dimension", "text", "site, machine, operator or month; all for a change in all exams"),
        Column("group", "text", "Name of the group"),
        Column("month", "text", "First month of a lasting change"),
        *_MEASURE,
        Column("exams", "integer", "Number of exams"),
        Column("value", "number", "Value of the group, or after the change"),
        Column("expected", "number", "What the other groups lead to expect, or the value before the change"),
        Column("lower_limit", "number", "Lower limit"),
        Column("upper_limit", "number", "Upper limit"),
        Column("probability", "number", "Of such a difference, among all comparisons of its table"),
        Column("text", "text", "The finding as a sentence"),
    )
    rows: list[tuple[Value, ...]] = [
        (
            each.dimension, each.group, each.month, each.measure.kind, each.measure.protocol, each.measure.item,
            each.exams, each.value, each.expected, each.lower, each.upper, each.probability, each.text,
        )
        for each in audit.findings
    ]  # fmt: skip
    return Table("findings", "Differences that neither chance nor natural variation explains", columns, rows)


def _items(audit: Audit, protocol: Protocol) -> Table:
    columns = (
        Column("item", "text", "Label of the item; the first row is the whole protocol"),
        Column("optional", "boolean", "Whether an exam is complete without it"),
        Column("exams", "integer", "Number of exams"),
        Column("fulfilled", "integer", "Exams with enough frames"),
        Column("doubtful", "integer", "Exams that doubtful frames would fulfill"),
        Column("missing", "integer", "Exams without"),
        Column("share", "number", "Share of exams that fulfill it"),
        Column("low", "number", "Lower end of the exact 95 % interval"),
        Column("high", "number", "Upper end of the exact 95 % interval"),
    )
    exams = audit.exams
    states = [("Complete", False, exams.worst(protocol))] + [
        (item.label, item.optional, state) for item, state in zip(protocol.items, exams.items[protocol.id], strict=True)
    ]
    counts = np.array([np.bincount(state, minlength=len(STATES)) for _, _, state in states])
    low, high = clopper_pearson(counts[:, 2], len(exams))
    rows: list[tuple[Value, ...]] = [
        (label, optional, len(exams), int(count[2]), int(count[1]), int(count[0]), count[2] / len(exams), *interval)
        for (label, optional, _), count, *interval in zip(states, counts, low, high, strict=True)
    ]
    return Table(
        f"items-{protocol.id}", f"{protocol.name}, version {protocol.version}: items over all exams", columns, rows
    )


def _groups(audit: Audit, dimension: str) -> Table:
    rows: list[tuple[Value, ...]] = []
    for table in audit.tables:
        if table.grouping.dimension != dimension:
            continue
        about = table.measure.kind, table.measure.protocol, table.measure.item
        columns = (
            table.exams, table.values, table.low, table.high, table.expected, table.lower, table.upper, table.chance,
            table.comparison.probability, table.flagged,
        )  # fmt: skip
        rows += [
            (*about, name, parent or None, *cells)
            for name, parent, *cells in zip(table.names, table.parents, *columns, strict=True)
        ]
    return Table(_PLURAL[dimension], f"Every measure by {dimension}", _GROUP, rows)


def _machine_months(audit: Audit) -> Table:
    columns = (
        *_MEASURE,
        Column("group", "text", "Name of the machine, or all exams"),
        Column("model", "text", "SHA-256 of the model, where each model has its own series"),
        Column("month", "text", "Year and month"),
        Column("exams", "integer", "Number of exams"),
        Column("value", "number", "Mean of the exams"),
    )
    rows: list[tuple[Value, ...]] = [
        (
            each.measure.kind, each.measure.protocol, each.measure.item, each.group, each.model, month, int(count),
            float(value),
        )
        for each in audit.series
        for month, count, value in zip(each.months, each.exams, each.values, strict=True)
    ]  # fmt: skip
    return Table("drift", "Monthly means of all exams and of each machine", columns, rows)


def _outliers(audit: Audit) -> Table:
    columns = (
        *_MEASURE,
        Column("exam", "text", "Keyed hash of the study, or the number of its folder"),
        Column("value", "number", "Value of the exam"),
        Column("median", "number", "Median of all exams"),
        Column("fence", "number", "Limit beyond which an exam is far out"),
    )
    names = audit.exams.names
    rows: list[tuple[Value, ...]] = [
        (each.measure.kind, None, None, names[each.exam], each.value, each.median, each.fence)
        for each in audit.outliers
    ]
    return Table("outliers", "Exams to look at", columns, rows)


def exam_table(audit: Audit) -> Table:
    """Return the table of exams. It has no groups, so that nobody can form hidden groups from it again."""
    exams, protocols = audit.exams, audit.options.protocols
    columns = [
        Column("exam", "text", "Keyed hash of the study, or the number of its folder"),
        Column("frames", "integer", "Frames with an answer"),
        Column("abstained", "integer", "Frames on which the model abstains"),
        Column("confidence", "number", "Mean probability of the first plane"),
        Column("ood", "number", "Mean OOD score"),
    ]
    values: list[list[Value]] = [
        list(exams.names), exams.frames.tolist(), exams.abstained.tolist(), exams.confidence.tolist(),
        exams.ood.tolist(),
    ]  # fmt: skip
    for protocol in protocols:
        columns.append(Column(f"complete:{protocol.id}", "boolean", "Whether it fulfills every required item"))
        values.append(exams.complete(protocol).tolist())
        for number, item in enumerate(protocol.items):
            columns.append(Column(f"{protocol.id}:{number + 1}", "text", f"State of the item {item.label}"))
            values.append([STATES[state] for state in exams.items[protocol.id][number]])
    return Table("exams", "Each exam", tuple(columns), list(zip(*values, strict=True)))
