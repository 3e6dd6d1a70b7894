"""The headline metrics of a model package."""

from collections.abc import Callable
from functools import partial

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
    subsets = {"all": predictions}
    if predictions.main is not None and predictions.main.records:
        subsets = {"main": predictions.main, "all": predictions}

    def measure(metric: str, subset: str, statistic: Statistic) -> Metric:
        return _measure(metric, subset, split, subsets[subset], statistic)

    top1, top2 = partial(_top_k_rate, k=1), partial(_top_k_rate, k=2)
    return [
        *(measure("top1", subset, top1) for subset in subsets),
        *([measure("top2", "all", top2)] if len(predictions.planes) > 2 else []),
        *(measure("macro_f1", subset, macro_f1) for subset in subsets),
        measure("calibration_error", "all", calibration_error),
        measure("brier_score", "all", brier_score),
        Metric(
            metric="coverage",
            subset="all",
            split=split,
            n=len(predictions.records),
            value=float(1 - predictions.abstained.mean()),
        ),
    ]


def _top_k_rate(probabilities: Floats, labels: Ints, k: int) -> float:
    return float(top_k(probabilities, labels, k).mean())


def _measure(metric: str, subset: str, split: str, predictions: Predictions, statistic: Statistic) -> Metric:
    probabilities, labels = predictions.probabilities, predictions.labels
    interval = patient_bootstrap(lambda rows: statistic(probabilities[rows], labels[rows]), predictions.patients)
    return Metric(
        metric=metric,
        subset=subset,
        split=split,
        n=len(labels),
        value=statistic(probabilities, labels),
        low=interval.low,
        high=interval.high,
    )
