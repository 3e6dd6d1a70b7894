"""The tables about the model: its answers, its card, its agreement with people."""

from collections.abc import Iterator

import numpy as np

from service.audit.report.tables import Column, Table, Value
from service.audit.result import Audit
from service.audit.statistics.intervals import clopper_pearson


def frames_table(audit: Audit) -> Table:
    """Return the numbers of frames by answer."""
    columns = (
        Column("answer", "text", "Id of the named plane, or the reason for abstaining"),
        Column("abstained", "boolean", "Whether the model abstains"),
        Column("frames", "integer", "Number of frames"),
        Column("share", "number", "Share of all frames"),
    )
    counts, total = audit.exams.counts, max(1, audit.exams.counts.frames)
    rows: list[tuple[Value, ...]] = [
        (label, abstained, count, count / total)
        for abstained, part in ((False, counts.planes), (True, counts.reasons))
        for label, count in part
    ]
    return Table("frames", "Frames by answer", columns, rows)


def card_table(audit: Audit) -> Table:
    """Compare all frames with what the model card states of its test frames."""
    columns = (
        Column("quantity", "text", "What is compared"),
        Column("card", "number", "Value of the model card, on its test frames"),
        Column(
            "card_low", "number", "Lower end of its 95 % interval; for the mean probability, of the range it implies"
        ),
        Column("card_high", "number", "Upper end"),
        Column("audit", "number", "Value of all frames of the audit"),
    )
    exams, manifest = audit.exams, audit.options.package.manifest
    known = {each.metric: each for each in manifest.metrics if (each.subset, each.split) == ("all", "test")}
    abstained = float(exams.abstained.sum() / exams.frames.sum())
    rows: list[tuple[Value, ...]] = []
    if coverage := known.get("coverage"):
        rejected = round(coverage.n * (1 - coverage.value))
        low, high = clopper_pearson(rejected, coverage.n)
        rows.append(
            ("share of frames on which the model abstains", 1 - coverage.value, float(low), float(high), abstained)
        )
    if (top1 := known.get("top1")) and (error := known.get("calibration_error")):
        # The calibration error is at least the distance between mean probability and accuracy.
        confidence = float(np.nanmean(exams.confidence)) if np.isfinite(exams.confidence).any() else np.nan
        span = max(0.0, top1.value - error.value), min(1.0, top1.value + error.value)
        rows.append(("mean probability of the first plane", top1.value, *span, confidence))
    return Table("model-card", "All frames against the model card", columns, rows)


def agreement_tables(audit: Audit) -> Iterator[Table]:
    """Yield the agreement by plane and the confusion, if there are enough corrections."""
    found = audit.agreement
    if found is None:
        return
    columns = (
        Column("plane", "text", "Id of the plane that the model named"),
        Column("frames", "integer", "Corrected frames with it"),
        Column("agreed", "integer", "Frames whose person named the same plane"),
        Column("share", "number", "Share that agrees"),
        Column("low", "number", "Lower end of the exact 95 % interval"),
        Column("high", "number", "Upper end of the exact 95 % interval"),
    )
    rows: list[tuple[Value, ...]] = [
        (plane, int(named), int(agreed), agreed / max(1, named), low, high)
        for plane, named, agreed, low, high in zip(
            found.planes, found.named, found.agreed, found.low, found.high, strict=True
        )
    ]
    yield Table("agreement", "Agreement of the model with people, by plane", columns, rows)
    header = (
        Column("model", "text", "The model's plane, or that it abstained"),
        *(Column(each, "integer", f"Frames whose person said {each}") for each in found.columns),
    )
    cells: list[tuple[Value, ...]] = [
        (label, *map(int, row)) for label, row in zip(found.rows, found.table, strict=True)
    ]  # fmt: skip
    yield Table("confusion", "The model's planes (rows) and those of people (columns)", header, cells)


def models_table(audit: Audit) -> Table:
    """Return the models that answered."""
    columns = (
        Column("model", "text", "SHA-256 of the model"),
        Column("exams", "integer", "Exams with most answers of it"),
    )
    models, counts = np.unique(audit.exams.model, return_counts=True)
    rows: list[tuple[Value, ...]] = [(str(each), int(count)) for each, count in zip(models, counts, strict=True)]
    return Table("models", "Models that answered", columns, rows)
