"""Tables of an evaluation: rows with named columns, written as CSV."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from model_build.evaluation.metrics import Floats, Ints, exact_interval, top_k, top_k_rate
from model_build.evaluation.predictions import Predictions

Row = dict[str, str | int | float]


def per_plane(predictions: Predictions) -> list[Row]:
    """Return one row per plane: counts, recall with its exact interval, precision and top-2 recall.

    Below a plane with frames of several groups, each group has a row without precision. A rate of no frame is empty:
    recall where no frame shows the plane, precision where it is never predicted.
    """
    rows: list[Row] = []
    for number, plane in enumerate(predictions.planes):
        own, claimed = predictions.select(predictions.labels == number), int((predictions.predicted == number).sum())
        hits = int((own.predicted == number).sum())
        rows.append(_plane_row(plane.label, own, hits / claimed if claimed else ""))
        groups = sorted({record.group for record in own.records if record.group})
        for group in groups if len(groups) > 1 else ():
            part = own.select(np.array([record.group == group for record in own.records]))
            rows.append(_plane_row(f"{plane.label}: {group}", part, ""))
    return rows


def _plane_row(name: str, own: Predictions, precision: float | Literal[""]) -> Row:
    """Return the row of a plane, or of a group of it, from the frames that show it."""
    row: Row = {"plane": name, "frames": len(own.records), "patients": len(set(own.patients))}
    row |= _rate_columns("recall", own.predicted == own.labels)
    row["precision"] = precision
    row["top2_recall"] = top_k_rate(own.probabilities, own.labels, 2) if own.records else ""
    return row


def per_scanner(predictions: Predictions) -> list[Row]:
    """Return one row per scanner: counts, and top-1 with its exact interval, on the main planes where they exist.

    `baseline` is the top-1 rate of always answering the plane that is most frequent on this scanner's frames.
    """
    scored = predictions.main or predictions
    rows: list[Row] = []
    for scanner in sorted(set(scored.scanners.tolist())):
        own = scored.select(scored.scanners == scanner)
        baseline = float(np.bincount(own.labels).max() / len(own.labels))
        rows.append({"scanner": scanner, **top1_columns(own.probabilities, own.labels), "baseline": baseline})
    return rows


def top1_columns(probabilities: Floats, labels: Ints) -> Row:
    """Return the columns `frames`, `correct` and `top1` with its exact interval."""
    return {"frames": len(labels), **_rate_columns("top1", top_k(probabilities, labels, 1))}


def _rate_columns(name: str, hits: NDArray[np.bool_]) -> Row:
    correct, count = int(hits.sum()), len(hits)
    if not count:
        return {"correct": 0, name: "", f"{name}_low": "", f"{name}_high": ""}
    low, high = exact_interval(correct, count)
    return {"correct": correct, name: correct / count, f"{name}_low": low, f"{name}_high": high}


def write_table(path: Path, rows: Sequence[Row]) -> None:
    """Write rows with equal keys as CSV; floats get six significant digits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as lines:
        writer = csv.DictWriter(lines, list(rows[0]))
        writer.writeheader()
        writer.writerows(
            {key: f"{value:.6g}" if isinstance(value, float) else value for key, value in row.items()} for row in rows
        )
