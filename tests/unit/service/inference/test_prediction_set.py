"""The limits of prediction sets, and the coverage that they promise."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from service.errors import BadParameter
from service.inference.engine import Scores
from service.inference.prediction_set import SetRule, limit_of
from service.schemas.manifest import Plane, PredictionSets

PLANES = tuple(Plane(id=f"plane_{number}", label=f"Plane {number}") for number in range(6))
LEVEL = st.floats(0.5, 1, exclude_max=True)
SCORES = st.lists(st.floats(0, 1), min_size=1, max_size=60)


def scores(*counts: int) -> PredictionSets:
    """Return as many probabilities as each count says, from 0.5 upward."""
    return PredictionSets(probabilities=tuple(tuple((0.5 + np.arange(count) / 200).tolist()) for count in counts))


@given(SCORES, LEVEL)
def test_each_of_exchangeable_patients_is_covered_in_turn(patients: list[float], level: float) -> None:
    """Of n + 1 patients, each as likely the new one, the limits by the other n must cover a share of `level`."""
    limits = [limit_of(sorted(patients[:row] + patients[row + 1 :]), level) for row in range(len(patients))]
    covered = sum(score >= limit for score, limit in zip(patients, limits, strict=True))
    assert covered >= level * len(patients) - 1e-6


@given(SCORES, LEVEL, LEVEL)
def test_a_higher_level_never_makes_a_set_smaller(patients: list[float], one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert limit_of(sorted(patients), high) <= limit_of(sorted(patients), low)


@pytest.mark.parametrize(
    ("count", "level", "limit"), [(18, 0.95, 0.0), (19, 0.95, 0.5), (39, 0.95, 0.505), (9, 0.9, 0.5)]
)
def test_the_correction_for_few_patients(count: int, level: float, limit: float) -> None:
    assert limit_of(scores(count).probabilities[0], level) == pytest.approx(limit)


def test_a_plane_with_too_few_patients_has_the_limit_of_all_planes() -> None:
    sets = scores(40, 40, 40, 40, 4, 0)
    rule = SetRule.of(PLANES, sets, 0.95)
    assert rule.supported == (True, True, True, True, False, False)
    pooled = sorted(score for own in sets.probabilities for score in own)
    assert rule.limits[4:] == (limit_of(pooled, 0.95),) * 2


def test_a_level_beyond_every_plane_is_refused_with_the_highest() -> None:
    with pytest.raises(BadParameter, match=r"at most 0\.976"):
        SetRule.of(PLANES, scores(40, 19, 0, 0, 0, 0), 0.99)
    assert SetRule.of(PLANES, scores(40, 19, 0, 0, 0, 0), 40 / 41).supported[0]


def test_a_model_without_sets_refuses() -> None:
    with pytest.raises(BadParameter, match="no prediction sets"):
        SetRule.of(PLANES, None, 0.9)


@given(st.lists(st.floats(0, 1, width=32), min_size=6, max_size=6))
def test_a_set_holds_the_planes_that_reach_their_limit_and_is_never_empty(probabilities: list[float]) -> None:
    rule = SetRule.of(PLANES, scores(40, 40, 40, 40, 40, 40), 0.95)
    found = Scores(np.array(probabilities, np.float32), 0.0, 0.0)
    answer = rule.predict(found, None)
    assert answer is not None
    ranked = [PLANES[plane].id for plane in found.ranked()]
    expected = [plane for plane in ranked if probabilities[int(plane[-1])] >= rule.limits[int(plane[-1])]]
    assert answer.planes == (expected or ranked[:1])
    assert answer.empty == (not expected)
    assert rule.predict(found, "uncertain") == answer
    assert rule.predict(found, "color-flow") is None


def test_the_manifest_refuses_scores_that_do_not_ascend() -> None:
    with pytest.raises(ValidationError, match="ascend"):
        PredictionSets(probabilities=((0.9, 0.1),))
