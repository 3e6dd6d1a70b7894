"""The headline metrics of a model package."""

from collections.abc import Sequence
from dataclasses import dataclass

from model_build.evaluation.calibration import Calibration
from model_build.evaluation.metrics import STATISTICS, frequencies, patient_bootstrap
from model_build.evaluation.predictions import Predictions
from service.schemas.manifest import Metric, PredictionSets

_NO_BASELINE = "calibration_error"  # answers that ignore the frame are calibrated
_SCORES = {"top1": "top-1", "macro_f1": "macro-F1"}  # that a model must be better than the baseline in
_MANY_TURNED_AWAY = 0.2  # of the frames


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Predictions on the evaluated split and their metrics, and the same of the sub-planes, if the model has any."""

    predictions: Predictions
    metrics: list[Metric]
    sub_planes: "Evaluation | None" = None
    calibration: Calibration | None = None  # where the package was calibrated in the same run
    prediction_sets: PredictionSets | None = None  # the manifest's


def headline_metrics(predictions: Predictions, split: str) -> list[Metric]:
    """Return the metrics that the model card starts with, of predictions on all planes of the named split.

    Top-1, macro-F1 and coverage are also computed on the main planes alone.
    """
    main = predictions.main
    subsets = {"main": main, "all": predictions} if main else {"all": predictions}
    return [
        *(measure("top1", part, split, name) for name, part in subsets.items()),
        *([measure("top2", predictions, split)] if len(predictions.planes) > 2 else []),
        *(measure("macro_f1", part, split, name) for name, part in subsets.items()),
        measure("calibration_error", predictions, split),
        measure("brier_score", predictions, split),
        *(_coverage(part, split, name) for name, part in subsets.items()),
    ]


def measure(metric: str, predictions: Predictions, split: str, subset: str = "all") -> Metric:
    """Return a metric with its baseline, and its interval from `patient_bootstrap`."""
    statistic, arrays = STATISTICS[metric], (predictions.probabilities, predictions.labels)
    low, high = patient_bootstrap(statistic, predictions.patients, *arrays).tolist()
    constant = frequencies(predictions.labels, len(predictions.planes))
    return Metric(
        metric=metric,
        subset=subset,
        split=split,
        n=len(predictions.records),
        value=statistic(*arrays),
        baseline=None if metric == _NO_BASELINE else statistic(constant, predictions.labels),
        low=low,
        high=high,
    )


def _coverage(predictions: Predictions, split: str, subset: str) -> Metric:
    value, count = float(1 - predictions.abstained.mean()), len(predictions.records)
    return Metric(metric="coverage", subset=subset, split=split, n=count, value=value)


def below_baseline(metrics: Sequence[Metric]) -> list[str]:
    """Return a sentence for each score on all planes that is not better than always answering the same plane."""
    return [
        f"NO BETTER THAN ALWAYS ANSWERING THE MOST FREQUENT PLANE: {_SCORES[each.metric]} is {each.value:.4f}, its "
        f"baseline {each.baseline:.4f}."
        for each in metrics
        if each.metric in _SCORES and each.subset == "all" and each.baseline is not None and each.value <= each.baseline
    ]


def abstention_warning(predictions: Predictions) -> list[str]:
    """Return a sentence where the model abstains on a large share of the frames."""
    turned_away, count = int(predictions.abstained.sum()), len(predictions.records)
    if turned_away <= _MANY_TURNED_AWAY * count:
        return []
    return [f"THE MODEL ABSTAINS ON {turned_away} OF {count} EVALUATED FRAMES ({turned_away / count:.0%})."]
