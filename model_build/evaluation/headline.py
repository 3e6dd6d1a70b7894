"""The headline metrics of a model package."""

from dataclasses import dataclass

from model_build.evaluation.calibration import Calibration
from model_build.evaluation.metrics import STATISTICS, patient_bootstrap
from model_build.evaluation.predictions import Predictions
from service.schemas.manifest import Metric


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Predictions on the evaluated split and their metrics, and the same of the sub-planes, if the model has any."""

    predictions: Predictions
    metrics: list[Metric]
    sub_planes: "Evaluation | None" = None
    calibration: Calibration | None = None  # where the package was calibrated in the same run


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
    """Return a metric with its interval from `patient_bootstrap`."""
    statistic, arrays = STATISTICS[metric], (predictions.probabilities, predictions.labels)
    low, high = patient_bootstrap(statistic, predictions.patients, *arrays).tolist()
    value = statistic(*arrays)
    return Metric(
        metric=metric, subset=subset, split=split, n=len(predictions.records), value=value, low=low, high=high
    )


def _coverage(predictions: Predictions, split: str, subset: str) -> Metric:
    value, count = float(1 - predictions.abstained.mean()), len(predictions.records)
    return Metric(metric="coverage", subset=subset, split=split, n=count, value=value)
