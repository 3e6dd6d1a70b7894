"""Evaluation of the sub-plane head, on frames that have a sub-plane label.

Every such frame counts, whatever plane the first head predicts for it.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from model_build.data.labels import SUB_PLANES
from model_build.data.records import Record
from model_build.evaluation.headline import measure, top1_rate
from model_build.evaluation.metrics import Floats, Ints, calibration_error, macro_f1, patient_bootstrap
from model_build.evaluation.predictions import Predictions
from model_build.evaluation.tables import Row, per_plane, write_table
from model_build.models.inference import in_batches
from model_build.models.multi_task import MultiTaskNetwork
from service.schemas.manifest import Metric


@dataclass(frozen=True, eq=False)
class SubPlaneEvaluation:
    """Predictions on the test frames, and metrics of the splits `val` and `test`."""

    predictions: Predictions
    metrics: list[Metric]


def predict_sub_planes(network: MultiTaskNetwork, inputs: torch.Tensor) -> NDArray[np.float32]:
    """Return logits float32 [N, M] of inputs uint8 [N, 1, S, S]; the network must have the sub-plane head."""
    head = network.sub_planes
    assert head is not None
    features = network.classifier.backbone.forward_features
    (logits,) = in_batches(network, lambda frames: (head(*features(frames)[:-1]),), inputs)
    return logits.numpy()


def sub_planes_of(records: Sequence[Record]) -> NDArray[np.int64]:
    """Return the true sub-plane numbers, int64 [N]; every record must have one."""
    return np.array([record.sub_plane for record in records], np.int64)


def sub_plane_predictions(records: Sequence[Record], probabilities: Floats) -> Predictions:
    """Return predictions whose planes are the sub-planes, from probabilities [N, M]. Nothing abstains."""
    numbers = sub_planes_of(records).tolist()
    labeled = [replace(record, plane=number) for record, number in zip(records, numbers, strict=True)]
    zeros = np.zeros(len(labeled), np.float32)
    return Predictions(labeled, probabilities, zeros, zeros > 0, SUB_PLANES)


def sub_plane_metrics(predictions: Predictions, split: str) -> list[Metric]:
    """Return macro-F1, top-1 and calibration error of one split."""
    statistics = {"macro_f1": macro_f1, "top1": top1_rate, "calibration_error": calibration_error}
    return [measure(name, predictions, statistic, split) for name, statistic in statistics.items()]


def per_sub_plane(predictions: Predictions) -> list[Row]:
    """Return one row per sub-plane: the columns of `per_plane`, and F1 with its bootstrap interval."""
    predicted, labels = predictions.predicted, predictions.labels
    rows = per_plane(predictions)
    for number, row in enumerate(rows):
        low, high = patient_bootstrap(partial(_f1, predicted, labels, number), predictions.patients)
        row |= {"f1": _f1(predicted, labels, number, np.arange(len(labels))), "f1_low": low, "f1_high": high}
    return rows


def _f1(predicted: Ints, labels: Ints, number: int, rows: Ints) -> float:
    """Return F1 of class `number` on some rows."""
    claimed, actual = predicted[rows] == number, labels[rows] == number
    return 2 * int((claimed & actual).sum()) / max(1, int(claimed.sum()) + int(actual.sum()))


def per_subset(predictions: Predictions) -> list[Row]:
    """Return one row of metrics for each scanner, for frames in their original shape, and for stretched frames."""
    records = predictions.records
    subsets = {
        "original shape": [not record.stretched for record in records],
        "stretched": [record.stretched for record in records],
        **{name: [record.scanner == name for record in records] for name in {record.scanner for record in records}},
    }
    rows: list[Row] = []
    for name, mask in sorted(subsets.items()):
        if any(mask):
            own = predictions.select(np.array(mask))
            row: Row = {"subset": name, "frames": len(own.records), "patients": len(set(own.patients))}
            for metric in sub_plane_metrics(own, "test"):
                row |= {metric.metric: metric.value, f"{metric.metric}_low": metric.low or 0.0}
                row |= {f"{metric.metric}_high": metric.high or 0.0}
            rows.append(row)
    return rows


def write_sub_plane_report(folder: Path, evaluation: SubPlaneEvaluation) -> None:
    """Write `sub_planes.csv`, `subsets.csv` and `summary.json`, which holds the metrics."""
    write_table(folder / "sub_planes.csv", per_sub_plane(evaluation.predictions))
    write_table(folder / "subsets.csv", per_subset(evaluation.predictions))
    summary = {"metrics": [metric.model_dump() for metric in evaluation.metrics]}
    (folder / "summary.json").write_text(json.dumps(summary, indent=2) + "\n", "utf-8")
