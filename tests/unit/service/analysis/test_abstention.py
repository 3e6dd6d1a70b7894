"""Why the model abstains on a frame, and which reason comes first."""

import numpy as np
import pytest

from service.analysis.abstention import abstain_reason, measure_flow
from service.imaging.color import FLOW
from service.imaging.sector import Box
from service.inference.engine import Scores
from service.schemas.manifest import Abstention

THRESHOLDS = Abstention(min_probability=0.5, max_ood_score=1.0)


def scores(probability: float, ood_score: float) -> Scores:
    return Scores(np.array([probability, 1 - probability], np.float32), ood_score)


@pytest.mark.parametrize(
    ("probability", "ood_score", "flow", "reason"),
    [
        (0.9, 0.5, 0.0, None),
        (0.5, 1.0, FLOW, None),  # every threshold is inclusive
        (0.9, 0.5, FLOW * 2, "color-flow"),
        (0.9, 1.5, 0.0, "out-of-distribution"),
        (0.5, 0.5, 0.0, None),
    ],
)
def test_each_reason(probability: float, ood_score: float, flow: float, reason: str | None) -> None:
    assert abstain_reason(scores(probability, ood_score), THRESHOLDS, flow) == reason


def test_uncertain() -> None:
    three = Scores(np.array([0.4, 0.3, 0.3], np.float32), 0.0)
    assert abstain_reason(three, THRESHOLDS) == "uncertain"


def test_color_flow_comes_before_out_of_distribution_and_that_before_uncertain() -> None:
    three = Scores(np.array([0.4, 0.3, 0.3], np.float32), 2.0)
    assert abstain_reason(three, THRESHOLDS) == "out-of-distribution"
    assert abstain_reason(three, THRESHOLDS, flow=1.0) == "color-flow"


def test_a_gray_frame_has_no_flow() -> None:
    assert measure_flow(None, Box(0, 0, 10, 10), (10, 10)) == 0
