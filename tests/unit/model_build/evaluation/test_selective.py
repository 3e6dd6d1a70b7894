"""Risk over coverage, detection of errors, and calibration of each class."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_build.data.labels import PLANES
from model_build.data.records import Record
from model_build.evaluation.predictions import Predictions
from model_build.evaluation.selective import calibration_rows, risk_coverage, selective_rows


def predictions(probabilities: np.ndarray, labels: list[int], ood_scores: list[float] | None = None) -> Predictions:
    records = [Record(Path(f"{row}.png"), str(row), plane, "Aloka", "test") for row, plane in enumerate(labels)]
    scores = None if ood_scores is None else np.array(ood_scores)
    return Predictions(records, probabilities, np.arange(len(labels)) == 0, PLANES[:2], scores)


def test_risk_is_the_error_rate_of_the_most_confident_frames() -> None:
    hits = np.array([False, True, True, False])
    assert risk_coverage(np.array([0.1, 0.9, 0.8, 0.7]), hits).tolist() == pytest.approx([0, 0, 1 / 3, 1 / 2])


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=40))
def test_at_full_coverage_the_risk_is_the_error_rate(frames: list[tuple[float, bool]]) -> None:
    confidence, hits = np.array([each[0] for each in frames]), np.array([each[1] for each in frames])
    risk = risk_coverage(confidence, hits)
    assert risk[-1] == pytest.approx(1 - hits.mean())
    assert risk[0] in (0, 1)
    assert risk_coverage(hits.astype(float), hits).mean() <= risk.mean() + 1e-12  # errors last is the best order


def test_rows_by_probability_and_by_score() -> None:
    probabilities = np.array([[0.6, 0.4], [0.9, 0.1], [0.2, 0.8], [0.3, 0.7]])
    rows = selective_rows({"all": predictions(probabilities, [1, 0, 1, 1], [5.0, 1.0, 2.0, 3.0])})
    assert [row["confidence"] for row in rows] == ["probability", "ood_score"]
    for row in rows:
        assert (row["errors"], row["error_auroc"], row["answered"], row["errors_answered"]) == (1, 1.0, 3, 0)
        assert row["accuracy_at_1"] == pytest.approx(0.75)
        assert row["aurc"] == pytest.approx(1 / 16)
    (row,) = selective_rows({"all": predictions(probabilities, [0, 0, 1, 1])})
    assert np.isnan(row["error_auroc"])


def test_class_calibration_compares_probability_and_share() -> None:
    sure = np.array([[1.0, 0.0]] * 4)
    errors = [row["calibration_error"] for row in calibration_rows(predictions(sure, [0, 0, 0, 1]))]
    assert errors == pytest.approx([0.25, 0.25])
    assert [row["frames"] for row in calibration_rows(predictions(sure, [0, 0, 0, 1]))] == [3, 1]
