"""Temperature and abstention thresholds, chosen on validation patients."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from service.schemas.manifest import Abstention

_UNCERTAIN_SHARE = 0.04  # validation frames below `min_probability`; most show planes with few training frames
_OOD_SHARE = 0.03  # augmented validation inputs above `max_ood_score`; of the original frames, fewer exceed it


@dataclass(frozen=True)
class Calibration:
    """The constants that turn logits into an answer; a temperature divides logits."""

    temperature: float
    abstention: Abstention
    sub_plane_temperature: float | None = None  # without a sub-plane head


def fit_temperature(logits: NDArray[np.floating], labels: NDArray[np.int64]) -> float:
    """Return the temperature, 0.2..5, that minimizes the negative log-likelihood of labels [N] under logits [N, K].

    The network must not have been trained on these frames. Source: Guo et al. 2017 (arXiv 1706.04599).
    """

    def loss(log_temperature: float) -> float:
        scaled = log_softmax(logits.astype(np.float64) / np.exp(log_temperature), axis=1)
        return float(-scaled[np.arange(len(labels)), labels].mean())

    best = minimize_scalar(loss, bounds=(np.log(0.2), np.log(5.0)), method="bounded")
    return float(np.exp(best.x))


def choose_abstention(probabilities: NDArray[np.floating], ood_score: NDArray[np.floating]) -> Abstention:
    """Return thresholds that a fixed share of validation inputs exceeds.

    The probabilities [N, K], calibrated, are of validation frames; the OOD scores [M] are of augmented ones, which
    stand in for scanners that are not in the data.
    """
    return Abstention(
        min_probability=float(np.quantile(probabilities.max(1), _UNCERTAIN_SHARE)),
        max_ood_score=float(np.quantile(ood_score, 1 - _OOD_SHARE)),
    )
