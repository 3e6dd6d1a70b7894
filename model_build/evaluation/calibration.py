"""Temperature and abstention thresholds, chosen on validation patients."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from service.schemas.manifest import Abstention

_DOUBTFUL = 0.04  # share of validation frames that may be too unsure: most are of planes with few training frames
_ODD = 0.03  # share of varied views of validation frames that may be too odd; of the frames as they are it is less


def fit_temperature(logits: NDArray[np.floating], planes: NDArray[np.int64]) -> float:
    """The temperature that minimizes the negative log-likelihood of `planes` (Guo et al. 2017, arXiv 1706.04599).

    Parameters
    ----------
    logits, planes
        float [N, K] and int64 [N] of frames that the network was not trained on.

    Returns
    -------
    Between 0.2 and 5; the logits are divided by it.
    """

    def loss(log_temperature: float) -> float:
        scaled = log_softmax(logits.astype(np.float64) / np.exp(log_temperature), axis=1)
        return float(-scaled[np.arange(len(planes)), planes].mean())

    best = minimize_scalar(loss, bounds=(np.log(0.2), np.log(5.0)), method="bounded")
    return float(np.exp(best.x))


def choose_abstention(probabilities: NDArray[np.floating], ood_score: NDArray[np.floating]) -> Abstention:
    """Choose when to abstain.

    Parameters
    ----------
    probabilities
        float [N, K], calibrated, of validation frames.
    ood_score
        float [M], of varied views of validation frames: the machines to come differ as the views do.
    """
    return Abstention(
        min_probability=float(np.quantile(probabilities.max(1), _DOUBTFUL)),
        max_ood_score=float(np.quantile(ood_score, 1 - _ODD)),
    )
