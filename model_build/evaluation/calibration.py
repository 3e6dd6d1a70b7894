"""Temperatures, the threshold of confidence and prediction sets, fitted to validation patients."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from model_build.data.records import Record
from service.schemas.manifest import Abstention, Plane, PredictionSets

_UNCERTAIN_SHARE = 0.04  # validation frames below `min_probability`; most show planes with few training frames


@dataclass(frozen=True)
class Acceptance:
    """How many inputs of one kind there are, and on how many of them the model does not abstain."""

    name: str
    named: tuple[int, ...]  # inputs by their most probable plane
    answered: tuple[int, ...]  # those of them that the model does not abstain on

    @property
    def frames(self) -> int:
        """The number of inputs."""
        return sum(self.named)

    @property
    def accepted(self) -> int:
        """The number of inputs that the model does not abstain on."""
        return sum(self.answered)

    @property
    def share(self) -> float:
        """The accepted share; 0 without inputs."""
        return self.accepted / max(1, self.frames)

    def row(self) -> dict[str, str | int | float]:
        """Return the row of a table."""
        return {"input": self.name, "frames": self.frames, "accepted": self.accepted}

    def plane_rows(self, planes: Sequence[Plane]) -> list[dict[str, str | int | float]]:
        """Return one row for each plane that inputs are named as."""
        counts = zip(planes, self.named, self.answered, strict=True)
        return [
            {"input": self.name, "named": plane.label, "frames": named, "answered": answered}
            for plane, named, answered in counts
            if named
        ]


_DECIMALS = 4  # of the probabilities of prediction sets: coarser than what PyTorch and ONNX Runtime differ by
_TEMPERATURES = 0.2, 5.0  # the limits of a temperature
_FEW_FRAMES = 50  # with fewer, two frames decide the threshold of `uncertain`


@dataclass(frozen=True)
class Calibration:
    """The constants that turn logits into an answer; a temperature divides logits."""

    temperature: float
    abstention: Abstention
    augmented: Acceptance  # augmented validation inputs of the main planes: they stand in for another hospital
    of_planes: tuple[Acceptance, ...]  # the augmented validation inputs of each plane
    left_out: tuple[Acceptance, ...]  # each by a score and limits that were fitted without it
    prediction_sets: PredictionSets
    sub_plane_temperature: float | None = None  # without a sub-plane head


def fit_temperature(logits: NDArray[np.floating], labels: NDArray[np.int64]) -> float:
    """Return the temperature that minimizes the negative log-likelihood of labels [N] under logits [N, K].

    It is 0.2..5. The network must not have been trained on these frames. Source: Guo et al. 2017 (arXiv 1706.04599).
    """

    def loss(log_temperature: float) -> float:
        scaled = log_softmax(logits.astype(np.float64) / np.exp(log_temperature), axis=1)
        return float(-scaled[np.arange(len(labels)), labels].mean())

    best = minimize_scalar(loss, bounds=np.log(_TEMPERATURES), method="bounded")
    return float(np.exp(best.x))


def uncertain_limit(probabilities: NDArray[np.floating]) -> float:
    """Return the threshold that the top-1 probability of a fixed share of validation frames is below.

    The probabilities [N, K] are calibrated.
    """
    return float(np.quantile(probabilities.max(1), _UNCERTAIN_SHARE))


def fit_prediction_sets(
    probabilities: NDArray[np.floating], records: Sequence[Record], kept: NDArray[np.bool_]
) -> PredictionSets:
    """Return the lowest probability [N, K] of the true plane on each patient's frames of it.

    `kept`, bool [N], is false for frames that are out of distribution: no set is predicted for those. Frames of one
    patient are not exchangeable with each other, but patients are; a limit that a patient's lowest probability reaches
    holds for all of the patient's frames.
    """
    lowest: list[dict[str, float]] = [defaultdict(lambda: 1.0) for _ in range(probabilities.shape[1])]
    for row in np.flatnonzero(kept).tolist():
        record = records[row]
        own = lowest[record.plane]
        own[record.patient] = min(own[record.patient], float(probabilities[row, record.plane]))
    scale = 10**_DECIMALS
    rounded = (sorted(float(np.floor(each * scale) / scale) for each in own.values()) for own in lowest)
    return PredictionSets(probabilities=tuple(map(tuple, rounded)))


def calibration_warnings(calibration: Calibration, val: Sequence[Record], planes: Sequence[Plane]) -> list[str]:
    """Return a sentence for each reason to doubt the constants that were chosen on the validation frames."""
    seen, least = {record.plane for record in val}, calibration.abstention.min_probability
    missing = [plane.label for number, plane in enumerate(planes) if number not in seen]
    warnings = []
    if len(val) < _FEW_FRAMES:
        warnings.append(
            f"TOO FEW FRAMES TO CALIBRATE: the temperature and the thresholds are chosen on {len(val)} validation "
            f"frames; with fewer than {_FEW_FRAMES}, probabilities and abstention are not reliable."
        )
    if missing:
        warnings.append(f"No validation frame shows {', '.join(missing)}: the probabilities are not calibrated for it.")
    if at_limit(calibration.temperature):
        warnings.append(
            f"The temperature is at its limit, {calibration.temperature:.3f}: the probabilities are not calibrated."
        )
    if least >= 0.99:
        warnings.append(f"The threshold of `uncertain` is {least:.4f}, at its limit: the model abstains on any doubt.")
    elif least <= 1 / len(planes) + 0.01:  # the least that a top-1 probability can be is 1 / K
        warnings.append(f"The threshold of `uncertain` is {least:.4f}, at its limit: it rejects no frame.")
    if calibration.sub_plane_temperature is not None and at_limit(calibration.sub_plane_temperature):
        warnings.append(
            f"The temperature of the sub-planes is at its limit, {calibration.sub_plane_temperature:.3f}: their "
            "probabilities are not calibrated."
        )
    return warnings


def at_limit(temperature: float) -> bool:
    """Return whether a fitted temperature is at one of its limits, within 1 %."""
    low, high = _TEMPERATURES
    return temperature <= 1.01 * low or temperature >= high / 1.01
