"""The evaluation report of a model package: tables as CSV, plots as PNG, metrics as JSON."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from sklearn.metrics import confusion_matrix

from model_build.data.formats import read_data
from model_build.data.frames import load_frames
from model_build.data.records import DataError
from model_build.data.splits import warn
from model_build.evaluation.headline import Evaluation, abstention_warning, below_baseline, headline_metrics
from model_build.evaluation.plots import draw_confusion, draw_reliability, plot_label
from model_build.evaluation.predictions import classify_frames, match_planes
from model_build.evaluation.selective import coverage_rows, write_selective
from model_build.evaluation.sub_planes import per_sub_plane, per_subset
from model_build.evaluation.tables import Row, per_plane, per_scanner, write_table
from service.inference.engine import Engine
from service.inference.package import load_package
from service.schemas.file_names import path_text
from service.schemas.manifest import Metric


def evaluate_package(package: Path, data: Path, split: str, out: Path) -> list[Metric]:
    """Evaluate a model package on a data set, write `report/` into `out` and return the headline metrics.

    The split is `train`, `val` or `test`, as the data set states it, or `all`.

    Raises
    ------
    DataError
        The data set has a plane that the package does not know, or no frame in the split.
    """
    engine, data_set = Engine(load_package(package)), read_data(data)
    warn(data_set.warnings)
    records = [record for record in match_planes(data_set, engine.manifest.planes) if split in (record.split, "all")]
    if not records:
        stated = ", ".join(sorted({record.split for record in data_set.records}))
        raise DataError(f"{path_text(data)} has no frame in its {split} split; all of its frames are in {stated}")
    predictions = classify_frames(engine, load_frames(records), records)
    metrics = headline_metrics(predictions, split)
    evaluation = Evaluation(predictions, metrics, prediction_sets=engine.manifest.prediction_sets)
    write_report(out / "report", evaluation, engine.manifest.temperature, {})
    warn((*below_baseline(metrics), *abstention_warning(predictions)))
    return metrics


def write_report(folder: Path, evaluation: Evaluation, temperature: float, parity: Mapping[str, float]) -> None:
    """Write the evaluation report into a folder, and the one of the sub-planes into `sub_planes/`.

    The probabilities were calibrated with `temperature`; `parity` is from `check_parity`, or empty.
    """
    predictions, sub_planes = evaluation.predictions, evaluation.sub_planes
    write_table(folder / "planes.csv", per_plane(predictions))
    write_table(folder / "scanners.csv", per_scanner(predictions))
    write_selective(folder, predictions)
    if evaluation.prediction_sets and (rows := coverage_rows(predictions, evaluation.prediction_sets)):
        write_table(folder / "prediction_sets.csv", rows)
    if evaluation.calibration:
        calibration = evaluation.calibration
        own, other = (calibration.augmented, *calibration.of_planes), calibration.left_out
        write_table(folder / "acceptance.csv", [each.row() for each in (*own, *other)])
        named = [row for each in (*own[1:], *other) for row in each.plane_rows(predictions.planes)]
        write_table(folder / "named.csv", named)
    _write_summary(folder, evaluation, parity=parity)
    labels = [plane.label for plane in predictions.planes]
    counts = confusion_matrix(predictions.labels, predictions.predicted, labels=range(len(labels)))
    confusion: list[Row] = [
        {"true": labels[row], **dict(zip(labels, counts[row], strict=True))} for row in range(len(counts))
    ]
    write_table(folder / "confusion.csv", confusion)
    draw_confusion(counts, [plot_label(plane) for plane in predictions.planes], folder / "confusion.png")
    calibrated = predictions.probabilities.astype(np.float64)
    # softmax(logits) is proportional to softmax(logits / T) ** T: this undoes the temperature.
    raw = calibrated**temperature
    draw_reliability(raw / raw.sum(1, keepdims=True), calibrated, predictions.labels, folder / "reliability.png")
    if sub_planes:
        write_table(folder / "sub_planes" / "sub_planes.csv", per_sub_plane(sub_planes.predictions))
        write_table(folder / "sub_planes" / "subsets.csv", per_subset(sub_planes.predictions))
        _write_summary(folder / "sub_planes", sub_planes)


def _write_summary(folder: Path, evaluation: Evaluation, **more: Mapping[str, float]) -> None:
    summary = {"metrics": [metric.model_dump() for metric in evaluation.metrics], **more}
    (folder / "summary.json").write_text(json.dumps(summary, indent=2) + "\n", "utf-8")
