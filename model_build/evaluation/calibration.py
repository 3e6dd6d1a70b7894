"""Temperatures and the threshold of confidence, chosen on validation patients."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from service.schemas.manifest import Abstention

_UNCERTAIN_SHARE = 0.04  # validation frames below `min_probability`; most show planes with few training frames


@dataclass(frozen=True)
class Acceptance:
    """How many inputs of one kind there are, and on how many of them the model does not abstain."""

    name: str
    frames: int
    accepted: int

    @property
    def share(self) -> float:
        """The accepted share; 0 without inputs."""
        return self.accepted / max(1, self.frames)

    def row(self) -> dict[str, str | int | float]:
        """Return the row of a table."""
        return {"input": self.name, "frames": self.frames, "accepted": self.accepted}


@dataclass(frozen=True)
class Calibration:
    """The constants that turn logits into an answer; a temperature divides logits."""

    temperature: float
    abstention: Abstention
    augmented: Acceptance  # augmented validation inputs of the main planes: they stand in for another hospital
    left_out: tuple[Acceptance, ...]  # each by a score and limits that were fitted without it
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


def uncertain_limit(probabilities: NDArray[np.floating]) -> float:
    """Return the threshold that the top-1 probability of a fixed share of validation frames is below.

    The probabilities [N, K] are calibrated.
    """
    return float(np.quantile(probabilities.max(1), _UNCERTAIN_SHARE))
