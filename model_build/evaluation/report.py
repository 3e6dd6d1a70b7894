"""The evaluation report of a model package: tables as CSV, plots as PNG, metrics as JSON."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from model_build.data.formats import read_data
from model_build.data.frames import load_frames
from model_build.data.records import DataError
from model_build.data.splits import warn
from model_build.evaluation.headline import headline_metrics
from model_build.evaluation.plots import draw_confusion, draw_reliability
from model_build.evaluation.predictions import Predictions, classify_frames, match_planes
from model_build.evaluation.tables import Row, confusion, per_plane, per_scanner, write_table
from service.inference.engine import Engine
from service.inference.package import load_package
from service.schemas.manifest import Metric


def evaluate_package(package: Path, data: Path, split: str, out: Path) -> list[Metric]:
    """Evaluate a model package on a data set and write its evaluation report.

    Parameters
    ----------
    split
        `train` or `test`, as the data set states it, or `all`.
    out
        Folder for `report/`.

    Returns
    -------
    The headline metrics.

    Raises
    ------
    DataError
        The data set has a plane that the package does not know, or no frame in the split.
    """
    engine, data_set = Engine(load_package(package)), read_data(data)
    warn(data_set.warnings)
    records = [record for record in match_planes(data_set, engine.manifest.planes) if split in (record.split, "all")]
    if not records:
        raise DataError(f"{data} has no frame in its {split} split")
    predictions = classify_frames(engine, load_frames(records), records)
    metrics = headline_metrics(predictions, split)
    write_report(out / "report", predictions, metrics, engine.manifest.temperature)
    return metrics


def write_report(
    folder: Path,
    predictions: Predictions,
    metrics: Sequence[Metric],
    temperature: float,
    parity: Mapping[str, float] | None = None,
) -> None:
    """Write the evaluation report of predictions into a folder.

    Parameters
    ----------
    temperature
        The temperature that the probabilities were calibrated with.
    parity
        Differences between ONNX Runtime and PyTorch, where they were measured.
    """
    folder.mkdir(parents=True, exist_ok=True)
    summary = {"metrics": [metric.model_dump() for metric in metrics], "parity": dict(parity or {})}
    (folder / "summary.json").write_text(json.dumps(summary, indent=2) + "\n", "utf-8")
    write_table(folder / "planes.csv", per_plane(predictions))
    write_table(folder / "scanners.csv", per_scanner(predictions))
    _write_confusion(folder, predictions)
    calibrated = predictions.probabilities.astype(np.float64)
    # softmax(logits) is proportional to softmax(logits / T) ** T: this undoes the temperature.
    raw = calibrated**temperature
    raw /= raw.sum(1, keepdims=True)
    pairs = [(values.max(1), values.argmax(1) == predictions.labels) for values in (raw, calibrated)]
    draw_reliability(pairs[0], pairs[1], folder / "reliability.png")


def _write_confusion(folder: Path, predictions: Predictions) -> None:
    labels, counts = [plane.label for plane in predictions.planes], confusion(predictions)
    rows: list[Row] = [
        {"true": label, **dict(zip(labels, row.tolist(), strict=True))}
        for label, row in zip(labels, counts, strict=True)
    ]
    write_table(folder / "confusion.csv", rows)
    draw_confusion(counts, labels, folder / "confusion.png")
