"""The gates that INT8 must pass."""

import numpy as np
import pytest

from model_build.packaging.int8.gates import GATES, Comparison, rank_correlation
from service.inference.engine import HeatMap


@pytest.mark.parametrize(
    ("metric", "float32", "int8", "passes"),
    [
        ("top1", 0.956, 0.954, True),
        ("top1", 0.956, 0.9539, False),
        ("top1", 0.956, 1.0, True),
        ("augmented_top1", 0.9428, 0.9407, False),
        ("calibration_error", 0.013, 0.016, True),
        ("calibration_error", 0.013, 0.0161, False),
        ("calibration_error", 0.013, 0.0, True),
        ("abstained", 0.04, 0.045, True),
        ("abstained", 0.04, 0.0451, False),
        ("abstained", 0.04, 0.0349, False),
        ("heat_map_correlation", 1.0, 0.98, True),
        ("heat_map_correlation", 1.0, 0.979, False),
        ("sub_plane_top1", 0.83, 0.825, True),
        ("sub_plane_top1", 0.83, 0.824, False),
        ("top1", 0.9, float("nan"), False),
    ],
)
def test_a_loss_beyond_the_bound_fails(metric: str, float32: float, int8: float, passes: bool) -> None:
    assert Comparison("val", metric, 100, float32, int8).passes is passes


def test_the_sentence_has_the_numbers() -> None:
    sentence = Comparison("val", "abstained", 100, 0.04, 0.05).sentence()
    assert sentence == "abstained on val is 0.0500, float32: 0.0400, allowed: at least -0.005, at most +0.005"


def test_each_metric_has_a_bound() -> None:
    assert all(Comparison("val", metric, 1, 0.0, 0.0).allowed for metric in GATES)


def test_an_empty_map_is_like_another_empty_one_alone() -> None:
    empty = HeatMap(np.zeros((3, 3), np.float32), 0.0)
    full = HeatMap(np.linspace(0, 1, 9, dtype=np.float32).reshape(3, 3), 2.0)
    half = HeatMap(full.values * np.float32(0.5), 5.0)
    assert rank_correlation(empty, empty) == 1
    assert rank_correlation(empty, full) == rank_correlation(full, empty) == 0
    assert rank_correlation(full, half) == pytest.approx(1)
    assert rank_correlation(full, HeatMap(np.float32(1) - full.values, 1.0)) == pytest.approx(-1)
