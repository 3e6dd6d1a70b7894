"""Decide whether the model abstains on a frame, and why, and whether two of its answers are too close to name one."""

import numpy as np

from service.imaging.color import FLOW
from service.inference.engine import Scores
from service.inference.session import Floats
from service.schemas.answers import AbstainReason
from service.schemas.manifest import Abstention

CLOSE = 0.2
"""Two answers whose probabilities differ by less are close: a person should review the plane; no sub-plane is named.

Of the 99 validation frames with a sub-plane, 14 % are closer, and half of those are wrong.
"""


def abstain_reason(scores: Scores, thresholds: Abstention, flow: float = 0.0) -> AbstainReason | None:
    """Return the reason for abstaining, or None where the first prediction stands.

    The reasons, in the order of their causes:

    1. `color-flow`: flow covers the tissue. The model sees gray levels alone and takes flow for bright tissue.
    2. `out-of-distribution`: the texture is far from that of every training frame (`distance`), or the frame shows too
       little of any plane or too much of another organ (`ood_score`). The limit of the score depends on the plane: it
       is lower for a plane that other organs seen through the same probe look like. The probabilities mean nothing
       there.
    3. `uncertain`: no plane is probable enough.

    Parameters
    ----------
    scores
        The model's answer about the frame.
    thresholds
        The manifest's. `fetal-planes-build package` chooses them on validation patients and on frames of other organs.
    flow
        The share of the crop that color flow covers, 0..1.
    """
    if flow > FLOW:
        return "color-flow"
    if scores.distance > thresholds.max_distance or scores.ood_score > thresholds.max_ood_score[scores.ranked()[0]]:
        return "out-of-distribution"
    if scores.probabilities.max() < thresholds.min_probability:
        return "uncertain"
    return None


def is_close(probabilities: Floats) -> bool:
    """Return whether the two largest of probabilities [M], M of at least 2, are close."""
    second, first = np.partition(probabilities, -2)[-2:].tolist()
    return bool(first - second < CLOSE)
