"""The headline metrics of a model package."""

from collections.abc import Callable

from model_build.evaluation.metrics import (
    Floats,
    Ints,
    brier_score,
    calibration_error,
    macro_f1,
    patient_bootstrap,
    top_k,
)
from model_build.evaluation.predictions import Predictions
from service.schemas.manifest import Metric

Statistic = Callable[[Floats, Ints], float]  # probabilities [N, K] and labels [N] to a value

NAMES = {
    "top1": "top-1",
    "top2": "top-2",
    "macro_f1": "macro-F1",
    "calibration_error": "calibration error (15 bins)",
    "brier_score": "Brier score",
    "coverage": "coverage (not abstained)",
}


def headline_metrics(predictions: Predictions, split: str) -> list[Metric]:
    """Return the metrics that the model card starts with; intervals are from `patient_bootstrap`.

    Parameters
    ----------
    predictions
        Predictions on all planes. Top-1 and macro-F1 are also computed on the main planes alone.
    split
        Name of the evaluated split, as the records state it.
    """
    main = predictions.main
    subsets = {"main": main, "all": predictions} if main is not None and main.records else {"all": predictions}
    return [
        *(measure("top1", part, top1_rate, split, name) for name, part in subsets.items()),
        *([measure("top2", predictions, top2_rate, split)] if len(predictions.planes) > 2 else []),
        *(measure("macro_f1", part, macro_f1, split, name) for name, part in subsets.items()),
        measure("calibration_error", predictions, calibration_error, split),
        measure("brier_score", predictions, brier_score, split),
        Metric(
            metric="coverage",
            subset="all",
            split=split,
            n=len(predictions.records),
            value=float(1 - predictions.abstained.mean()),
        ),
    ]


def measure(metric: str, predictions: Predictions, statistic: Statistic, split: str, subset: str = "all") -> Metric:
    """Return the value of a statistic with its interval from `patient_bootstrap`."""
    probabilities, labels = predictions.probabilities, predictions.labels
    low, high = patient_bootstrap(lambda rows: statistic(probabilities[rows], labels[rows]), predictions.patients)
    value = statistic(probabilities, labels)
    return Metric(metric=metric, subset=subset, split=split, n=len(labels), value=value, low=low, high=high)


def top1_rate(probabilities: Floats, labels: Ints) -> float:
    """Return the share of frames whose most probable class is the true one."""
    return float(top_k(probabilities, labels, 1).mean())


def top2_rate(probabilities: Floats, labels: Ints) -> float:
    """Return the share of frames whose true class is among the two most probable ones."""
    return float(top_k(probabilities, labels, 2).mean())
