"""`frames.csv`: one line per frame, in the columns of the CSV that the page saves."""

import csv
import io
from collections.abc import Iterable
from pathlib import Path

from service.jobs.outputs import whole_file
from service.jobs.rows import ResultRow
from service.reports.cells import Cell, plain_cells
from service.schemas.manifest import Plane

Cells = dict[str, Cell]

COLUMNS = (
    "file", "frame", "seconds", "plane", "label", "probability", "second_plane", "second_probability", "sub_plane",
    "sub_plane_probability", "abstain", "abstain_reason", "problem", "detail", "width", "height", "model",
    "model_version", "model_sha256", "model_precision", "request_id", "duplicate_of",
)  # fmt: skip
"""The columns before those of the planes, `p_<plane>`."""


def write_csv(rows: Iterable[ResultRow], planes: Iterable[Plane], path: Path) -> None:
    """Write one line per row, in the order of files and frames."""
    columns = [*COLUMNS, *(f"p_{plane.id}" for plane in planes), "dicom_problem"]
    with whole_file(path) as file:
        text = io.TextIOWrapper(file, "utf-8", newline="")
        table = csv.DictWriter(text, columns)
        table.writeheader()
        first: dict[str, str] = {}  # file by its digest
        for row in sorted(rows, key=row_place):
            same = first.setdefault(row.sha256, row.file) if row.sha256 else row.file
            table.writerow(_cells(row, None if same == row.file else same))
        text.detach()  # flushes, and leaves the file open


def row_place(row: ResultRow) -> tuple[str, int]:
    """Return what orders the rows of a job."""
    return row.file, row.frame


def _cells(row: ResultRow, duplicate_of: str | None) -> Cells:
    """Return the cells of a row, and of the earlier file with the same bytes."""
    cells: Cells = {
        "file": row.file,
        "frame": row.frame,
        "dicom_problem": row.dicom_problem,
        "duplicate_of": duplicate_of,
    }
    if row.problem is not None:
        cells |= {"problem": row.problem.code, "detail": row.problem.detail, "request_id": row.problem.request_id}
    cells |= _answer_cells(row)
    return plain_cells(cells)


def _answer_cells(row: ResultRow) -> Cells:
    """Return the cells of an answer; the planes are left out where the model abstains."""
    if (answer := row.answer) is None:
        return {}
    cells: Cells = {
        "seconds": answer.frame.seconds,
        "abstain": str(answer.abstain).lower(),  # as the page writes it
        "abstain_reason": answer.abstain_reason,
        "width": answer.frame.width,
        "height": answer.frame.height,
        "model": answer.model.name,
        "model_version": answer.model.version,
        "model_sha256": answer.model.sha256,
        "model_precision": answer.model.precision,
        "request_id": answer.request_id,
    }
    cells |= {f"p_{each.plane}": each.probability for each in answer.predictions}
    if answer.abstain:
        return cells
    first, second = answer.predictions[:2]
    cells |= {"plane": first.plane, "label": first.label, "probability": first.probability}
    cells |= {"second_plane": second.plane, "second_probability": second.probability}
    if answer.sub_plane is not None:
        cells |= {"sub_plane": answer.sub_plane.plane, "sub_plane_probability": answer.sub_plane.probability}
    return cells
