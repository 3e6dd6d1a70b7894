"""Metrics with their definitions, and intervals that account for several frames per patient."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

Floats = NDArray[np.floating]
Ints = NDArray[np.int64]


class Interval(NamedTuple):
    """Two-sided 95 % interval."""

    low: float
    high: float


def top_k(probabilities: Floats, labels: Ints, k: int) -> NDArray[np.bool_]:
    """Return for each frame whether its true class is among the `k` most probable ones, bool [N]."""
    ranked = np.argsort(-probabilities, axis=1, kind="stable")[:, :k]
    hits: NDArray[np.bool_] = (ranked == labels[:, None]).any(1)
    return hits


def macro_f1(probabilities: Floats, labels: Ints) -> float:
    """Return the mean F1 over the classes that occur in `labels`.

    `sklearn.metrics.f1_score` returns the same value, but it is 100 times slower, and the bootstrap calls this
    function 1,000 times.
    """
    predicted, classes = probabilities.argmax(1), probabilities.shape[1]
    true_positives = np.bincount(labels[predicted == labels], minlength=classes)
    actual, claimed = np.bincount(labels, minlength=classes), np.bincount(predicted, minlength=classes)
    occurs = actual > 0
    return float((2 * true_positives[occurs] / (actual[occurs] + claimed[occurs])).mean())


def exact_interval(hits: int, count: int) -> Interval:
    """Return the Clopper-Pearson interval of the rate `hits / count`. It treats frames as independent."""
    if count == 0:
        return Interval(0.0, 1.0)
    interval = binomtest(hits, count).proportion_ci(method="exact")
    return Interval(float(interval.low), float(interval.high))


def patient_bootstrap(
    statistic: Callable[[Ints], float], patients: Sequence[str], *, draws: int = 1000, seed: int = 0
) -> Interval:
    """Return the percentile interval of `statistic(rows)` over resampled patients.

    Each draw resamples whole patients with replacement, because frames of one patient are not independent.
    """
    random = np.random.default_rng(seed)
    _, owner = np.unique(np.asarray(patients), return_inverse=True)
    rows_of = [np.flatnonzero(owner == patient) for patient in range(owner.max() + 1)]
    values = [
        statistic(np.concatenate([rows_of[patient] for patient in random.integers(len(rows_of), size=len(rows_of))]))
        for _ in range(draws)
    ]
    low, high = np.percentile(values, (2.5, 97.5))
    return Interval(float(low), float(high))


def calibration_error(probabilities: Floats, labels: Ints, bins: int = 15) -> float:
    """Return the expected calibration error of the top-1 probability over bins of equal width.

    Source: Guo et al. 2017, equation 3 (arXiv 1706.04599).
    """
    confidence, hits = probabilities.max(1), probabilities.argmax(1) == labels
    bin_of = bin_numbers(confidence, bins)
    error = 0.0
    for number in np.unique(bin_of):
        inside = bin_of == number
        error += inside.mean() * abs(hits[inside].mean() - confidence[inside].mean())
    return float(error)


def bin_numbers(confidence: Floats, bins: int) -> Ints:
    """Return the bin of each confidence, int64 [N], for bins of equal width over 0..1."""
    return np.minimum((confidence * bins).astype(np.int64), bins - 1)


def brier_score(probabilities: Floats, labels: Ints) -> float:
    """Return the multi-class Brier score: the mean squared distance to the one-hot label, 0..2."""
    truth = np.eye(probabilities.shape[1])[labels]
    return float(((probabilities - truth) ** 2).sum(1).mean())
