"""Tables of an evaluation: rows with named columns, written as CSV."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix

from model_build.evaluation.metrics import Ints, exact_interval, top_k
from model_build.evaluation.predictions import Predictions

Row = dict[str, str | int | float]


def per_plane(predictions: Predictions) -> list[Row]:
    """Return one row per plane: counts, recall with its exact interval, precision and top-2 recall."""
    predicted, labels = predictions.predicted, predictions.labels
    rows: list[Row] = []
    for number, plane in enumerate(predictions.planes):
        own = predictions.select(labels == number)
        count, claimed = len(own.records), int((predicted == number).sum())
        correct = int((own.predicted == number).sum())
        low, high = exact_interval(correct, count)
        rows.append(
            {
                "plane": plane.label,
                "frames": count,
                "patients": len(set(own.patients)),
                "correct": correct,
                "recall": correct / max(1, count),
                "recall_low": low,
                "recall_high": high,
                "precision": correct / claimed if claimed else float("nan"),
                "top2_recall": float(top_k(own.probabilities, own.labels, 2).mean()) if count else 0.0,
            }
        )
    return rows


def per_scanner(predictions: Predictions) -> list[Row]:
    """Return one row per scanner: counts, and top-1 with its exact interval, on the main planes where they exist."""
    predictions = predictions.main or predictions
    rows: list[Row] = []
    for scanner in sorted({record.scanner for record in predictions.records}):
        own = predictions.select(np.array([record.scanner == scanner for record in predictions.records]))
        rows.append({"scanner": scanner, **top1_columns(own.probabilities, own.labels)})
    return rows


def top1_columns(probabilities: NDArray[np.float32], labels: Ints) -> Row:
    """Return the columns `frames`, `correct` and `top1` with its exact interval."""
    correct, count = int(top_k(probabilities, labels, 1).sum()), len(labels)
    low, high = exact_interval(correct, count)
    return {"frames": count, "correct": correct, "top1": correct / count, "top1_low": low, "top1_high": high}


def confusion(predictions: Predictions) -> NDArray[np.int64]:
    """Return the confusion matrix, int64 [K, K]; rows are true planes, columns are predicted planes."""
    counts = confusion_matrix(predictions.labels, predictions.predicted, labels=range(len(predictions.planes)))
    return np.asarray(counts, np.int64)


def write_table(path: Path, rows: Sequence[Row]) -> None:
    """Write rows with equal keys as CSV; floats get six significant digits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as lines:
        writer = csv.DictWriter(lines, list(rows[0]))
        writer.writeheader()
        writer.writerows(
            {key: f"{value:.6g}" if isinstance(value, float) else value for key, value in row.items()} for row in rows
        )
