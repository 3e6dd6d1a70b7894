"""Decide whether the model abstains on a frame, and why."""

from service.imaging.color import FLOW, Colors, flow_share
from service.imaging.sector import Box
from service.inference.engine import Scores
from service.schemas.answers import AbstainReason
from service.schemas.manifest import Abstention


def abstain_reason(scores: Scores, thresholds: Abstention, flow: float = 0.0) -> AbstainReason | None:
    """Return the reason for abstaining, or None where the first prediction stands.

    The order is that of the causes. Color flow comes first: the model sees gray levels alone and takes flow for bright
    tissue. A frame unlike the training frames comes next: the model's probabilities mean nothing there.

    Parameters
    ----------
    scores
        The model's answer about the frame.
    thresholds
        The manifest's, chosen on validation patients.
    flow
        The share of the crop that color flow covers, 0..1, as `measure_flow` returns it.
    """
    if flow > FLOW:
        return "color-flow"
    if scores.ood_score > thresholds.max_ood_score:
        return "out-of-distribution"
    if scores.probabilities.max() < thresholds.min_probability:
        return "uncertain"
    return None


def measure_flow(colors: Colors | None, crop: Box, shape: tuple[int, ...]) -> float:
    """Return the share, 0..1, of `crop` that color flow covers in a frame of `shape` [H, W]; 0 for a gray frame."""
    return 0.0 if colors is None else flow_share(colors, crop, shape[0], shape[1])
