"""Figures of merit, each with its definition; intervals that respect that one patient gives several frames."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

Floats = NDArray[np.floating]
Ints = NDArray[np.int64]


class Interval(NamedTuple):
    """A two-sided 95 % interval."""

    low: float
    high: float


def top_k(probabilities: Floats, planes: Ints, k: int) -> NDArray[np.bool_]:
    """Whether the true plane is among the `k` most probable, bool [N]."""
    ranked = np.argsort(-probabilities, axis=1, kind="stable")[:, :k]
    hits: NDArray[np.bool_] = (ranked == planes[:, None]).any(1)
    return hits


def macro_f1(probabilities: Floats, planes: Ints) -> float:
    """The mean of F1 over the planes that occur in `planes`."""
    predicted, count = probabilities.argmax(1), probabilities.shape[1]
    hits = np.bincount(planes[predicted == planes], minlength=count)
    true, claimed = np.bincount(planes, minlength=count), np.bincount(predicted, minlength=count)
    occurs = true > 0  # scikit-learn's f1_score gives the same, a hundred times slower than a bootstrap can bear
    return float((2 * hits[occurs] / (true[occurs] + claimed[occurs])).mean())


def exact_interval(hits: int, count: int) -> Interval:
    """Clopper and Pearson's interval of a rate; it takes frames as independent."""
    if count == 0:
        return Interval(0.0, 1.0)
    interval = binomtest(hits, count).proportion_ci(method="exact")
    return Interval(float(interval.low), float(interval.high))


def patient_bootstrap(
    statistic: Callable[[Ints], float], patients: Sequence[str], *, draws: int = 1000, seed: int = 0
) -> Interval:
    """Percentile interval of `statistic(rows)` when whole patients are drawn with replacement."""
    random = np.random.default_rng(seed)
    _, owner = np.unique(np.asarray(patients), return_inverse=True)
    rows_of = [np.flatnonzero(owner == patient) for patient in range(owner.max() + 1)]
    values = [
        statistic(np.concatenate([rows_of[patient] for patient in random.integers(len(rows_of), size=len(rows_of))]))
        for _ in range(draws)
    ]
    low, high = np.percentile(values, (2.5, 97.5))
    return Interval(float(low), float(high))


def calibration_error(probabilities: Floats, planes: Ints, bins: int = 15) -> float:
    """Expected calibration error of the top-1 probability in bins of equal width (Guo et al. 2017, equation 3)."""
    confidence, hits = probabilities.max(1), probabilities.argmax(1) == planes
    bin_of = np.minimum((confidence * bins).astype(int), bins - 1)
    error = 0.0
    for number in np.unique(bin_of):
        inside = bin_of == number
        error += inside.mean() * abs(hits[inside].mean() - confidence[inside].mean())
    return float(error)


def brier(probabilities: Floats, planes: Ints) -> float:
    """Brier score over all planes: the mean squared distance to the one-hot truth, 0 to 2."""
    truth = np.eye(probabilities.shape[1])[planes]
    return float(((probabilities - truth) ** 2).sum(1).mean())
