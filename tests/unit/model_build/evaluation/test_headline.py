"""The headline metrics: each score comes with its baseline."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_build.data.records import Record
from model_build.evaluation.headline import abstention_warning, below_baseline, headline_metrics
from model_build.evaluation.metrics import STATISTICS, frequencies
from model_build.evaluation.predictions import Predictions
from service.schemas.manifest import Plane

PLANES = tuple(Plane(id=name, label=name.capitalize()) for name in ("heart", "kidney", "spine"))


def predictions(labels: list[int], predicted: list[int], abstained: int = 0) -> Predictions:
    records = [Record(Path(f"{row}.png"), str(row), plane, "x", "test") for row, plane in enumerate(labels)]
    probabilities = np.full((len(labels), len(PLANES)), 0.1)
    probabilities[np.arange(len(labels)), predicted] = 0.8
    return Predictions(records, probabilities, np.arange(len(labels)) < abstained, PLANES)


@given(st.lists(st.integers(0, 2), min_size=1, max_size=30))
def test_the_baseline_is_always_the_most_frequent_plane(labels: list[int]) -> None:
    true = np.array(labels)
    constant = frequencies(true, 3)
    share = max(np.bincount(true)) / len(true)
    assert STATISTICS["top1"](constant, true) == pytest.approx(share)
    assert STATISTICS["macro_f1"](constant, true) == pytest.approx(2 * share / (1 + share) / len(set(labels)))
    assert STATISTICS["brier_score"](constant, true) == pytest.approx(
        1 - (np.bincount(true) ** 2).sum() / len(true) ** 2
    )


def test_scores_have_a_baseline_and_others_none() -> None:
    metrics = headline_metrics(predictions([0, 0, 0, 1, 2], [0, 0, 0, 1, 2]), "test")
    baselines = {metric.metric: metric.baseline for metric in metrics}
    assert baselines == {
        "top1": pytest.approx(0.6),
        "top2": pytest.approx(0.8),
        "macro_f1": pytest.approx(0.25),
        "brier_score": pytest.approx(1 - 11 / 25),
        "calibration_error": None,
        "coverage": None,
    }
    assert below_baseline(metrics) == []


@pytest.mark.parametrize("predicted", [[0, 0, 0, 0, 0], [0, 0, 1, 2, 1]])
def test_a_model_that_is_no_better_than_the_baseline_is_named(predicted: list[int]) -> None:
    sentences = below_baseline(headline_metrics(predictions([0, 0, 0, 1, 2], predicted), "test"))
    assert sentences
    assert all(
        sentence.startswith("NO BETTER THAN ALWAYS ANSWERING THE MOST FREQUENT PLANE: ") for sentence in sentences
    )
    assert "its baseline 0.6000." in sentences[0]


def test_a_large_share_turned_away_is_said() -> None:
    labels = [0, 1, 2, 0, 1]
    assert abstention_warning(predictions(labels, labels, abstained=1)) == []
    assert abstention_warning(predictions(labels, labels, abstained=2)) == [
        "THE MODEL ABSTAINS ON 2 OF 5 EVALUATED FRAMES (40%)."
    ]
