"""Why the model abstains on a frame, and which reason comes first."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.analysis.abstention import CLOSE, abstain_reason, is_close
from service.imaging.color import FLOW
from service.inference.engine import Scores
from service.schemas.manifest import Abstention

THRESHOLDS = Abstention(min_probability=0.5, max_ood_score=(1.0, 0.2, 1.0), max_distance=2.0)
UNIT = st.floats(0, 1, width=32)


def scores(*probabilities: float, ood_score: float = 0.0, distance: float = 0.0) -> Scores:
    return Scores(np.array(probabilities, np.float32), ood_score, distance)


@pytest.mark.parametrize(
    ("found", "flow", "reason"),
    [
        (scores(0.9, 0.1, 0.0), 0.0, None),
        (scores(0.5, 0.4, 0.1, ood_score=1.0, distance=2.0), FLOW, None),  # every threshold is inclusive
        (scores(0.9, 0.1, 0.0), FLOW * 2, "color-flow"),
        (scores(0.9, 0.1, 0.0, ood_score=1.1), 0.0, "out-of-distribution"),
        (scores(0.9, 0.1, 0.0, distance=2.1), 0.0, "out-of-distribution"),
        (scores(0.4, 0.3, 0.3), 0.0, "uncertain"),
    ],
)
def test_each_reason(found: Scores, flow: float, reason: str | None) -> None:
    assert abstain_reason(found, THRESHOLDS, flow) == reason


def test_the_limit_of_the_score_is_that_of_the_most_probable_plane() -> None:
    assert abstain_reason(scores(0.9, 0.1, 0.0, ood_score=0.5), THRESHOLDS) is None
    assert abstain_reason(scores(0.1, 0.9, 0.0, ood_score=0.5), THRESHOLDS) == "out-of-distribution"


@given(st.tuples(UNIT, UNIT, UNIT), st.floats(-3, 3), st.floats(0, 4), UNIT)
def test_color_flow_comes_before_out_of_distribution_and_that_before_uncertain(
    probabilities: tuple[float, ...], ood_score: float, distance: float, flow: float
) -> None:
    found = scores(*probabilities, ood_score=ood_score, distance=distance)
    far = distance > 2 or ood_score > (1.0, 0.2, 1.0)[int(np.argmax(probabilities))]
    uncertain = max(probabilities) < 0.5
    expected = (flow > FLOW and "color-flow") or (far and "out-of-distribution") or (uncertain and "uncertain") or None
    assert abstain_reason(found, THRESHOLDS, flow) == expected


@given(st.lists(st.integers(0, 100), min_size=2, max_size=6))
def test_the_two_most_probable_answers_decide_whether_they_are_close(percents: list[int]) -> None:
    second, first = sorted(percents)[-2:]
    if first - second != 100 * CLOSE:  # there, rounding decides
        assert is_close(np.array([percent / 100 for percent in percents], np.float32)) == (first - second < 100 * CLOSE)
