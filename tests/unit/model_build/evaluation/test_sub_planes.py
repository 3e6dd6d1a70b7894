"""Metrics of the sub-plane head."""

from pathlib import Path

import numpy as np
import pytest

from model_build.data.labels import SUB_PLANES
from model_build.data.records import Record
from model_build.evaluation.predictions import Predictions
from model_build.evaluation.sub_planes import per_sub_plane, per_subset, sub_plane_metrics


def predictions() -> Predictions:
    """Return six frames of three patients; the second frames of the first and of the third patient are wrong."""
    labels, predicted, patients = (0, 0, 1, 1, 2, 2), [0, 1, 1, 1, 2, 0], "aabbcc"
    scanners = ("Aloka", "Aloka", "Other", "Other", "Other", "Other")
    records = [
        Record(Path(), patient, label, scanner, "test", label, stretched=label == 2)
        for patient, scanner, label in zip(patients, scanners, labels, strict=True)
    ]
    return Predictions(records, np.eye(3)[predicted], np.zeros(6, np.bool_), SUB_PLANES)


def test_rows_per_sub_plane() -> None:
    rows = per_sub_plane(predictions())
    assert [row["plane"] for row in rows] == ["Trans-thalamic", "Trans-cerebellum", "Trans-ventricular"]
    assert [row["correct"] for row in rows] == [1, 2, 1]
    assert [row["patients"] for row in rows] == [1, 1, 1]
    assert [row["f1"] for row in rows] == pytest.approx([0.5, 0.8, 2 / 3])


def test_metrics_of_a_split() -> None:
    values = {metric.metric: metric.value for metric in sub_plane_metrics(predictions(), "test")}
    assert values["macro_f1"] == pytest.approx(np.mean([0.5, 0.8, 2 / 3]))
    assert values["top1"] == pytest.approx(4 / 6)


def test_subsets_are_scanners_and_shapes() -> None:
    frames = {row["subset"]: row["frames"] for row in per_subset(predictions())}
    assert frames == {"Aloka": 2, "Other": 4, "original shape": 4, "stretched": 2}
