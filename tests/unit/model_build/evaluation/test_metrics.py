import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax
from sklearn.metrics import f1_score

from model_build.evaluation.calibration import fit_temperature, uncertain_limit
from model_build.evaluation.metrics import (
    brier_score,
    calibration_error,
    exact_interval,
    macro_f1,
    patient_bootstrap,
    top_k,
)

PROBABILITIES = np.array([[0.7, 0.2, 0.1], [0.1, 0.5, 0.4], [0.3, 0.3, 0.4], [0.6, 0.3, 0.1]])
LABELS = np.array([0, 2, 2, 1])


def test_top_k_counts_the_true_plane_among_the_first() -> None:
    assert top_k(PROBABILITIES, LABELS, 1).tolist() == [True, False, True, False]
    assert top_k(PROBABILITIES, LABELS, 2).tolist() == [True, True, True, True]


def test_macro_f1_is_the_mean_over_planes() -> None:
    # plane 0: precision 1/2, recall 1; plane 1: none correct; plane 2: precision 1, recall 1/2
    assert macro_f1(PROBABILITIES, LABELS) == pytest.approx((2 / 3 + 0 + 2 / 3) / 3)


@settings(deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 60))
def test_macro_f1_equals_scikit_learn(seed: int, count: int) -> None:
    random = np.random.default_rng(seed)
    probabilities, planes = random.random((count, 6)), random.integers(0, 6, count)
    expected = f1_score(planes, probabilities.argmax(1), labels=np.unique(planes), average="macro", zero_division=0)
    assert macro_f1(probabilities, planes) == pytest.approx(expected)


def test_exact_interval_is_clopper_pearson() -> None:
    assert exact_interval(0, 10) == pytest.approx((0.0, 0.3085), abs=1e-4)
    assert exact_interval(9, 10) == pytest.approx((0.5550, 0.9975), abs=1e-4)
    assert exact_interval(0, 0) == (0.0, 1.0)


def test_bootstrap_draws_whole_patients() -> None:
    values = np.array([1.0] * 50 + [0.0] * 50)
    low, high = patient_bootstrap(np.mean, [str(row) for row in range(100)], values)
    clustered = patient_bootstrap(np.mean, ["a"] * 50 + ["b"] * 50, values)
    assert 0.38 < low < 0.45 < 0.55 < high < 0.62
    assert clustered.tolist() == [0.0, 1.0]


def test_calibration_error_and_brier_of_known_cases() -> None:
    sure = np.array([[1.0, 0.0]] * 4)
    assert calibration_error(sure, np.array([0, 0, 0, 0])) == 0
    assert calibration_error(sure, np.array([0, 0, 0, 1])) == pytest.approx(0.25)
    assert brier_score(sure, np.array([0, 0, 0, 1])) == pytest.approx(0.5)


def test_temperature_is_recovered() -> None:
    random = np.random.default_rng(0)
    logits = random.normal(0, 3, (4000, 6))
    planes = np.array([random.choice(6, p=row) for row in softmax(logits, axis=1)])
    assert fit_temperature(logits * 2.5, planes) == pytest.approx(2.5, rel=0.08)


def test_four_percent_of_frames_are_uncertain() -> None:
    probabilities = softmax(np.random.default_rng(0).normal(0, 2, (1000, 6)), axis=1)
    assert (probabilities.max(1) < uncertain_limit(probabilities)).mean() == pytest.approx(0.04, abs=0.002)
