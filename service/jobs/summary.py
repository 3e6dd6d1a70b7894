"""The summary of a folder: a table for people, and counts for the system that started the job."""

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from service import __version__
from service.inference.package import ModelPackage
from service.jobs.rows import DISCLAIMER, Counts, ResultRow

_COLUMNS = (
    "file", "frame", "plane", "probability", "second_plane", "second_probability", "sub_plane", "sub_plane_probability",
    "abstain_reason", "problem", "detail",
)  # fmt: skip


def write_csv(rows: Iterable[ResultRow], path: Path) -> None:
    """Write one line per row, in the order of files and frames."""
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(_COLUMNS)
        table.writerows(_cells(row) for row in sorted(rows, key=lambda row: (row.file, row.frame)))


def _cells(row: ResultRow) -> tuple[str | int | float | None, ...]:
    predictions: list[str | float | None] = [None] * 4
    sub_plane: tuple[str | None, float | None] = (None, None)
    reason = None
    if row.answer is not None:
        predictions = [value for each in row.answer.predictions for value in (each.plane, each.probability)]
        reason = row.answer.abstain_reason
        if row.answer.sub_plane is not None:
            sub_plane = (row.answer.sub_plane.plane, row.answer.sub_plane.probability)
    problem = (row.problem.code, row.problem.detail) if row.problem else (None, None)
    return (_not_a_formula(row.file), row.frame, *predictions, *sub_plane, reason, *problem)


def _not_a_formula(name: str) -> str:
    """Return a file name that no spreadsheet evaluates as a formula."""
    return f"'{name}" if name.startswith(("=", "+", "-", "@")) else name


def result_json(counts: Counts, package: ModelPackage) -> dict[str, Any]:
    """Return the contents of `result.json`: the counts, and the text of mercure's notification."""
    return counts.to_dict() | {
        "model": {"name": package.manifest.name, "version": package.manifest.version, "sha256": package.sha256},
        "version": __version__,
        "disclaimer": DISCLAIMER,
        "__mercure_notification": {"text": counts.text(), "requested": False},
    }
