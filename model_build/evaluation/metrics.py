"""Metrics with their definitions, and intervals that account for several frames per patient."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

Floats = NDArray[np.floating]
Ints = NDArray[np.int64]


def top_k(probabilities: Floats, labels: Ints, k: int) -> NDArray[np.bool_]:
    """Return for each frame whether its true class is among the `k` most probable ones, bool [N]."""
    ranked = np.argsort(-probabilities, axis=1, kind="stable")[:, :k]
    hits: NDArray[np.bool_] = (ranked == labels[:, None]).any(1)
    return hits


def top_k_rate(probabilities: Floats, labels: Ints, k: int = 1) -> float:
    """Return the share of frames whose true class is among the `k` most probable ones."""
    return float(top_k(probabilities, labels, k).mean())


def class_f1(probabilities: Floats, labels: Ints) -> NDArray[np.float64]:
    """Return the F1 of each class, float64 [K]; 0 for a class that is neither true nor predicted anywhere.

    `sklearn.metrics.f1_score` returns the same values, but it is 100 times slower, and the bootstrap calls this
    function 1,000 times.
    """
    predicted, classes = probabilities.argmax(1), probabilities.shape[1]
    true_positives = np.bincount(labels[predicted == labels], minlength=classes)
    actual, claimed = np.bincount(labels, minlength=classes), np.bincount(predicted, minlength=classes)
    return np.asarray(2 * true_positives / np.maximum(1, actual + claimed))


def macro_f1(probabilities: Floats, labels: Ints) -> float:
    """Return the mean F1 over the classes that occur in `labels`."""
    return float(class_f1(probabilities, labels)[np.unique(labels)].mean())


def exact_interval(hits: int, count: int) -> tuple[float, float]:
    """Return the 95 % Clopper-Pearson interval of the rate `hits / count`. It treats frames as independent."""
    if count == 0:
        return 0.0, 1.0
    low, high = binomtest(hits, count).proportion_ci(method="exact")
    return float(low), float(high)


def patient_bootstrap(
    statistic: Callable[..., float | Floats], patients: Sequence[str], *arrays: NDArray[np.generic]
) -> NDArray[np.float64]:
    """Return the 95 % percentile interval of `statistic(*arrays)` over 1,000 draws of patients.

    Each draw resamples whole patients with replacement, because frames of one patient are not independent. The
    statistic gets the drawn rows of `arrays`, [N, ...] each. The interval is float64 [2], or [2, K] for K values.
    """
    random = np.random.default_rng(0)
    _, owner = np.unique(np.asarray(patients), return_inverse=True)
    rows_of = [np.flatnonzero(owner == patient) for patient in range(owner.max() + 1)]
    values = []
    for _ in range(1000):
        rows = np.concatenate([rows_of[patient] for patient in random.integers(len(rows_of), size=len(rows_of))])
        values.append(statistic(*(array[rows] for array in arrays)))
    return np.percentile(np.asarray(values, np.float64), (2.5, 97.5), axis=0)


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
    return float(((probabilities - np.eye(probabilities.shape[1])[labels]) ** 2).sum(1).mean())


def frequencies(labels: Ints, classes: int) -> Floats:
    """Return answers that ignore the frame: on each frame the frequency of every class in `labels`, float64 [N, K].

    Their most probable class is the most frequent one, so their top-1 rate is the majority-class baseline.
    """
    counts = np.bincount(labels, minlength=classes)
    return np.broadcast_to(counts / counts.sum(), (len(labels), classes))


STATISTICS: dict[str, Callable[[Floats, Ints], float]] = {  # of probabilities [N, K] and labels [N], by metric
    "top1": top_k_rate,
    "top2": partial(top_k_rate, k=2),
    "macro_f1": macro_f1,
    "calibration_error": calibration_error,
    "brier_score": brier_score,
}
