"""Prediction sets fitted to validation patients, and their measured coverage."""

from pathlib import Path

import numpy as np
import pytest

from model_build.data.labels import PLANES
from model_build.data.records import Record
from model_build.evaluation.calibration import fit_prediction_sets
from model_build.evaluation.predictions import Predictions
from model_build.evaluation.selective import coverage_rows
from service.schemas.manifest import PredictionSets

ALL = np.ones(4, np.bool_)


def records(planes: list[int], patients: list[str]) -> list[Record]:
    each = zip(planes, patients, strict=True)
    return [Record(Path(f"{row}.png"), patient, plane, "x", "val") for row, (plane, patient) in enumerate(each)]


def draw(count: int, seed: int, frames_each: int = 2) -> Predictions:
    """Return predictions on frames of patients that differ: the frames of one have nearly equal probabilities."""
    random = np.random.default_rng(seed)
    planes = np.repeat(random.integers(0, 3, count), frames_each)
    noise = np.repeat(random.normal(0, 1.5, (count, 3)), frames_each, axis=0) + random.normal(0, 0.1, (len(planes), 3))
    logits = noise + 2 * np.eye(3)[planes]
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    patients = np.repeat(np.arange(count), frames_each).astype(str).tolist()
    rows = records(planes.tolist(), patients)
    return Predictions(rows, probabilities, np.zeros(len(rows), np.bool_), PLANES[:3])


def test_the_lowest_probability_of_each_patient_counts_rounded_down() -> None:
    probabilities = np.array([[0.9, 0.1], [0.80009, 0.2], [0.7, 0.3], [0.4, 0.6]])
    made = records([0, 0, 0, 1], ["a", "a", "b", "a"])
    assert fit_prediction_sets(probabilities, made, ALL).probabilities == ((0.7, 0.8), (0.6,))
    assert fit_prediction_sets(probabilities, made, np.arange(4) < 2).probabilities == ((0.8,), ())


@pytest.mark.parametrize("level", [0.8, 0.9, 0.95])
def test_new_patients_of_each_plane_are_covered(level: float) -> None:
    """The mean over 20 draws of validation and test patients must reach the level for every plane."""
    covered, patients = np.zeros(3), np.zeros(3)
    for seed in range(20):
        val = draw(150, seed)
        sets = fit_prediction_sets(val.probabilities, val.records, np.ones(len(val.records), np.bool_))
        for plane, row in enumerate(coverage_rows(draw(200, 100 + seed), sets, [level])[:3]):
            assert row["supported"] == "yes"
            covered[plane] += int(row["patients_covered"])
            patients[plane] += int(row["patients"])
    assert covered.sum() / patients.sum() >= level - 0.01  # the standard error is 0.006 here, and 0.011 below
    assert (np.abs(covered / patients - level) < 0.035).all()  # not more either: sets of all planes would be useless


def test_frames_out_of_distribution_are_not_counted() -> None:
    predictions = draw(30, 0)
    sets = PredictionSets(probabilities=((0.0,) * 30,) * 3)
    far = np.arange(len(predictions.records)) < 10
    marked = Predictions(predictions.records, predictions.probabilities, far, PLANES[:3], None, far)
    *_, row = coverage_rows(marked, sets, [0.9])
    assert (row["plane"], row["frames"], row["coverage"], row["mean_size"]) == ("all", 50, 1.0, 3.0)


def test_levels_that_no_plane_supports_have_no_row() -> None:
    assert coverage_rows(draw(5, 0), PredictionSets(probabilities=((0.5,) * 9,) * 3), [0.95]) == []
