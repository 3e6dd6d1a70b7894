"""Reasons to doubt a calibration."""

from pathlib import Path

import numpy as np
import pytest

from model_build.data.labels import PLANES
from model_build.data.records import Record
from model_build.evaluation.calibration import Acceptance, Calibration, at_limit, calibration_warnings, fit_temperature
from service.schemas.manifest import Abstention, PredictionSets


def calibration(temperature: float = 1.1, least: float = 0.6, sub_planes: float | None = None) -> Calibration:
    limits = Abstention(min_probability=least, max_ood_score=(3.0,) * len(PLANES), max_distance=2)
    return Calibration(
        temperature, limits, Acceptance("augmented", (), ()), (), (), PredictionSets(probabilities=()), sub_planes
    )


def frames(count: int, planes: int = len(PLANES)) -> list[Record]:
    return [Record(Path(f"{row}.png"), str(row), row % planes, "x", "val") for row in range(count)]


def test_a_good_calibration_has_no_warning() -> None:
    assert calibration_warnings(calibration(sub_planes=1.2), frames(60), PLANES) == []


@pytest.mark.parametrize(
    ("made", "count", "planes", "words"),
    [
        (calibration(), 49, 6, "chosen on 49 validation frames"),
        (calibration(), 60, 5, "No validation frame shows Other:"),
        (calibration(5.0), 60, 6, "The temperature is at its limit, 5.000"),
        (calibration(0.2), 60, 6, "The temperature is at its limit, 0.200"),
        (calibration(least=0.999), 60, 6, "`uncertain` is 0.9990, at its limit: the model abstains on any doubt"),
        (calibration(least=1 / 6), 60, 6, "`uncertain` is 0.1667, at its limit: it rejects no frame"),
        (calibration(sub_planes=5.0), 60, 6, "temperature of the sub-planes is at its limit"),
    ],
)
def test_each_reason_for_doubt_is_one_sentence(made: Calibration, count: int, planes: int, words: str) -> None:
    (sentence,) = calibration_warnings(made, frames(count, planes), PLANES)
    assert words in sentence


def test_a_fit_that_reaches_a_limit_is_recognized() -> None:
    labels = np.arange(30) % 3
    right = np.eye(3)[labels]
    assert at_limit(fit_temperature(right, labels))
    assert at_limit(fit_temperature(right * 9, np.roll(labels, 1)))
    mixed = np.concatenate((right[:24], right[[1] * 6]))
    assert not at_limit(fit_temperature(mixed * 2, labels))
