"""Corrections as a CSV table, for spreadsheets and the audit."""

import csv
import io
from collections.abc import Iterable

from service.reports.cells import Cell, plain_cells
from service.schemas.corrections import Correction

COLUMNS = (
    "id", "at", "digest", "frame", "model", "model_version", "model_sha256", "model_precision", "answer_plane",
    "answer_sub_plane", "answer_abstain_reason", "answer_probability", "verdict", "plane", "sub_plane", "study",
    "patient", "machine", "protocol", "who", "has_frame",
)  # fmt: skip


def corrections_csv(corrections: Iterable[Correction]) -> str:
    """Return a table with one line per correction."""
    text = io.StringIO(newline="")
    table = csv.DictWriter(text, COLUMNS)
    table.writeheader()
    table.writerows(plain_cells(_cells(each)) for each in corrections)
    return text.getvalue()


def _cells(correction: Correction) -> dict[str, Cell]:
    answer, model = correction.answer, correction.model
    same = correction.model_dump(include=set(COLUMNS) - {"at", "model", "has_frame"})
    return same | {
        "at": correction.at.isoformat(timespec="milliseconds"),
        "model": model.name,
        "model_version": model.version,
        "model_sha256": model.sha256,
        "model_precision": model.precision,
        "answer_plane": answer.plane,
        "answer_sub_plane": answer.sub_plane,
        "answer_abstain_reason": answer.abstain_reason,
        "answer_probability": answer.probability,
        "has_frame": str(correction.has_frame).lower(),
    }
