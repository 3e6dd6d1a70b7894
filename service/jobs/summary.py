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
        table = csv.DictWriter(file, _COLUMNS, extrasaction="ignore")
        table.writeheader()
        table.writerows(_cells(row) for row in sorted(rows, key=lambda row: (row.file, row.frame)))


def _cells(row: ResultRow) -> dict[str, str | int | float | None]:
    cells = row.cells()
    if row.file.startswith(("=", "+", "-", "@")):  # no spreadsheet may evaluate a file name as a formula
        cells["file"] = f"'{row.file}"
    if row.answer is not None:
        first, second = row.answer.predictions
        cells |= {"probability": first.probability}
        cells |= {"second_plane": second.plane, "second_probability": second.probability}
    return cells


def result_json(counts: Counts, package: ModelPackage) -> dict[str, Any]:
    """Return the contents of `result.json`: the counts, and the text of mercure's notification."""
    return counts.model_dump() | {
        "model": {"name": package.manifest.name, "version": package.manifest.version, "sha256": package.sha256},
        "version": __version__,
        "disclaimer": DISCLAIMER,
        "__mercure_notification": {"text": counts.text(), "requested": False},
    }
