"""Evaluation of the sub-plane head, on frames that have a sub-plane label.

Every such frame counts, whatever plane the first head predicts for it.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from model_build.data.labels import SUB_PLANES
from model_build.data.records import Record
from model_build.evaluation.metrics import Interval, Ints, calibration_error, macro_f1, patient_bootstrap
from model_build.evaluation.tables import Row, recall_columns, write_table
from model_build.models.inference import in_batches
from model_build.models.multi_task import MultiTaskNetwork


@dataclass(frozen=True, eq=False)
class SubPlanePredictions:
    """Probabilities of N frames, float [N, M], and their records; every record has a sub-plane."""

    records: Sequence[Record]
    probabilities: NDArray[np.floating]

    @property
    def labels(self) -> NDArray[np.int64]:
        """The true sub-plane numbers, int64 [N]."""
        return sub_planes_of(self.records)

    @property
    def patients(self) -> list[str]:
        """The patient of each frame."""
        return [record.patient for record in self.records]

    def select(self, rows: NDArray[np.bool_]) -> "SubPlanePredictions":
        """Return the predictions on the frames where `rows`, bool [N], is true."""
        records = [record for record, kept in zip(self.records, rows, strict=True) if kept]
        return SubPlanePredictions(records, self.probabilities[rows])


@dataclass(frozen=True)
class SubPlaneScores:
    """Scores of one split: macro-F1 and accuracy with intervals, and the calibration error."""

    frames: int
    patients: int
    macro_f1: float
    macro_f1_interval: Interval
    accuracy: float
    accuracy_interval: Interval
    calibration_error: float

    @classmethod
    def of(cls, predictions: SubPlanePredictions) -> "SubPlaneScores":
        """Score predictions; intervals are from `patient_bootstrap`."""
        probabilities, labels, patients = predictions.probabilities, predictions.labels, predictions.patients
        hits = probabilities.argmax(1) == labels
        return cls(
            frames=len(labels),
            patients=len(set(patients)),
            macro_f1=macro_f1(probabilities, labels),
            macro_f1_interval=patient_bootstrap(lambda rows: macro_f1(probabilities[rows], labels[rows]), patients),
            accuracy=float(hits.mean()),
            accuracy_interval=patient_bootstrap(lambda rows: float(hits[rows].mean()), patients),
            calibration_error=calibration_error(probabilities, labels),
        )

    def row(self) -> Row:
        """Return the scores as columns of a table."""
        return {
            "frames": self.frames,
            "patients": self.patients,
            "macro_f1": self.macro_f1,
            "macro_f1_low": self.macro_f1_interval.low,
            "macro_f1_high": self.macro_f1_interval.high,
            "accuracy": self.accuracy,
            "accuracy_low": self.accuracy_interval.low,
            "accuracy_high": self.accuracy_interval.high,
            "calibration_error": self.calibration_error,
        }


def sub_planes_of(records: Sequence[Record]) -> NDArray[np.int64]:
    """Return the true sub-plane numbers, int64 [N]; every record must have one."""
    return np.array([record.sub_plane for record in records], np.int64)


def predict_sub_planes(network: MultiTaskNetwork, inputs: torch.Tensor) -> NDArray[np.float32]:
    """Return logits float32 [N, M] of inputs uint8 [N, 1, S, S]; the network must have the sub-plane head."""
    head = network.sub_planes
    assert head is not None
    features = network.classifier.backbone.forward_features
    (logits,) = in_batches(network, lambda frames: (head(*features(frames)[:-1]),), inputs)
    return logits.numpy()


def per_sub_plane(predictions: SubPlanePredictions) -> list[Row]:
    """Return one row per sub-plane: recall with its exact interval, precision, F1 with its bootstrap interval."""
    predicted, labels, patients = predictions.probabilities.argmax(1), predictions.labels, predictions.patients
    rows: list[Row] = []
    for number, plane in enumerate(SUB_PLANES):
        interval = patient_bootstrap(partial(_f1_of_rows, predicted, labels, number), patients)
        rows.append(
            {
                "sub_plane": plane.label,
                **recall_columns(predicted, labels, patients, number),
                "f1": _f1(predicted, labels, number),
                "f1_low": interval.low,
                "f1_high": interval.high,
            }
        )
    return rows


def per_subset(predictions: SubPlanePredictions) -> list[Row]:
    """Return one row of scores for each scanner, for frames in their original shape, and for stretched frames."""
    records = predictions.records
    subsets = {
        "original shape": [not record.stretched for record in records],
        "stretched": [record.stretched for record in records],
        **{name: [record.scanner == name for record in records] for name in {record.scanner for record in records}},
    }
    return [
        {"subset": name, **SubPlaneScores.of(predictions.select(np.array(rows))).row()}
        for name, rows in sorted(subsets.items())
        if any(rows)
    ]


def write_sub_plane_report(folder: Path, predictions: SubPlanePredictions, scores: dict[str, SubPlaneScores]) -> None:
    """Write `sub_planes.csv`, `subsets.csv` and `scores.json`, which holds the scores of each split."""
    write_table(folder / "sub_planes.csv", per_sub_plane(predictions))
    write_table(folder / "subsets.csv", per_subset(predictions))
    summary = {split: own.row() for split, own in scores.items()}
    (folder / "scores.json").write_text(json.dumps(summary, indent=2) + "\n", "utf-8")


def _f1_of_rows(predicted: Ints, labels: Ints, number: int, rows: Ints) -> float:
    return _f1(predicted[rows], labels[rows], number)


def _f1(predicted: Ints, labels: Ints, number: int) -> float:
    hits = int(((predicted == number) & (labels == number)).sum())
    return 2 * hits / max(1, int((predicted == number).sum()) + int((labels == number).sum()))
