"""Selective prediction: what accuracy a model reaches if it answers its most confident frames only, or with sets.

Frames are ordered by a confidence. The risk-coverage curve is the error rate among the first n of N frames over the
coverage n / N, and AURC the mean of that curve (Geifman and El-Yaniv 2017, arXiv 1705.08500; El-Yaniv and Wiener 2010).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from model_build.evaluation.metrics import Floats, bin_numbers, exact_interval
from model_build.evaluation.predictions import Predictions
from model_build.evaluation.tables import Row, write_table
from service.errors import BadParameter
from service.inference.prediction_set import SetRule
from service.schemas.manifest import PredictionSets

COVERAGES = (0.85, 0.9, 0.95, 1.0)
SET_LEVELS = (0.8, 0.9, 0.95)
_DPI = 110


def write_selective(folder: Path, predictions: Predictions) -> None:
    """Write `selective.csv`, `class_calibration.csv` and `risk_coverage.png`."""
    subsets = {"main": predictions.main, "all": predictions} if predictions.main else {"all": predictions}
    write_table(folder / "selective.csv", selective_rows(subsets))
    write_table(folder / "class_calibration.csv", calibration_rows(predictions))
    draw_risk_coverage(predictions, folder / "risk_coverage.png")


def risk_coverage(confidence: Floats, hits: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the error rate among the n most confident frames for n of 1 to N, float64 [N].

    Equally confident frames are kept in their order.
    """
    errors = ~hits[np.argsort(-confidence, kind="stable")]
    return np.asarray(np.cumsum(errors) / np.arange(1, len(errors) + 1))


def confidences(predictions: Predictions) -> dict[str, Floats]:
    """Return the confidences that frames can be ordered by: top-1 probability, and the negative OOD score if known."""
    by: dict[str, Floats] = {"probability": predictions.probabilities.max(1)}
    return by if predictions.ood_scores is None else by | {"ood_score": -predictions.ood_scores}


def selective_rows(subsets: Mapping[str, Predictions]) -> list[Row]:
    """Return one row per subset and confidence: accuracy at fixed coverages, AURC, AUROC of detecting errors, answers.

    The AUROC is NaN where every frame is right, or wrong.
    """
    rows: list[Row] = []
    for subset, predictions in subsets.items():
        hits, answered = predictions.predicted == predictions.labels, ~predictions.abstained
        for name, confidence in confidences(predictions).items():
            risk = risk_coverage(confidence, hits)
            row: Row = {"subset": subset, "confidence": name, "frames": len(hits), "errors": int((~hits).sum())}
            row |= {
                f"accuracy_at_{share:g}": float(1 - risk[int(np.ceil(share * len(hits))) - 1]) for share in COVERAGES
            }
            row["aurc"] = float(risk.mean())
            row["error_auroc"] = float(roc_auc_score(hits, confidence)) if 0 < hits.sum() < len(hits) else float("nan")
            row |= {"answered": int(answered.sum()), "errors_answered": int((~hits & answered).sum())}
            rows.append(row)
    return rows


def calibration_rows(predictions: Predictions, bins: int = 15) -> list[Row]:
    """Return the class-wise calibration error of each plane over bins of equal width (Nixon et al. 2019).

    It compares the mean probability of the plane with the share of frames that show it, over all frames: arXiv
    1904.01685.
    """
    rows: list[Row] = []
    for number, plane in enumerate(predictions.planes):
        probability, own = predictions.probabilities[:, number], predictions.labels == number
        bin_of, error = bin_numbers(probability, bins), 0.0
        for each in np.unique(bin_of):
            inside = bin_of == each
            error += float(inside.mean()) * abs(float(own[inside].mean()) - float(probability[inside].mean()))
        rows.append({"plane": plane.label, "frames": int(own.sum()), "calibration_error": error})
    return rows


def coverage_rows(predictions: Predictions, fitted: PredictionSets, levels: Sequence[float] = SET_LEVELS) -> list[Row]:
    """Return one row per level and plane: the frames whose set holds their plane, and the mean size of their sets.

    Frames that are out of distribution get no set and are not counted. A level that no plane has enough validation
    patients for has no row.
    """
    far = predictions.out_of_distribution
    kept = predictions if far is None else predictions.select(~far)
    rows: list[Row] = []
    for level in levels:
        try:
            rule = SetRule.of(predictions.planes, fitted, level)
        except BadParameter:
            continue
        found = [rule.members(row.tolist()) for row in kept.probabilities]
        empty = np.array([not members for members in found], np.bool_)
        sets = [members or {first} for members, first in zip(found, kept.predicted.tolist(), strict=True)]
        covered = np.array([label in own for label, own in zip(kept.labels.tolist(), sets, strict=True)], np.bool_)
        counts = np.stack([covered, list(map(len, sets)), empty], axis=1)  # int64 [N, 3]
        for number, plane in enumerate(predictions.planes):
            own = kept.labels == number
            row: Row = {"level": level, "plane": plane.label, "supported": "yes" if rule.supported[number] else "no"}
            rows.append(row | _coverage(kept.select(own).patients, counts[own]))
        everything: Row = {"level": level, "plane": "all", "supported": ""}
        rows.append(everything | _coverage(kept.patients, counts))
    return rows


def _coverage(patients: Sequence[str], counts: NDArray[np.int64]) -> Row:
    """Return the columns of frames; `counts`, [N, 3], has for each whether its set holds its plane, size, emptiness."""
    covered, sizes, empty = counts.T
    hits, count = int(covered.sum()), len(counts)
    missed = {patient for patient, hit in zip(patients, covered, strict=True) if not hit}
    low, high = exact_interval(hits, count)
    return {
        "frames": count,
        "covered": hits,
        "coverage": hits / count if count else "",
        "coverage_low": low,
        "coverage_high": high,
        "patients": len(set(patients)),
        "patients_covered": len(set(patients) - missed),
        "mean_size": float(sizes.mean()) if count else "",
        "empty": int(empty.sum()),
    }


def draw_risk_coverage(predictions: Predictions, path: Path) -> None:
    """Draw the error rate among the most confident frames over their share, and where the model answers today."""
    hits, answered = predictions.predicted == predictions.labels, ~predictions.abstained
    figure = Figure(figsize=(5.5, 3.9), layout="constrained")
    axis = figure.subplots()
    coverage = np.arange(1, len(hits) + 1) / len(hits)
    for name, confidence in confidences(predictions).items():
        axis.plot(coverage, risk_coverage(confidence, hits), label=f"ordered by {name.replace('_', ' ')}")
    if answered.any():
        axis.scatter(answered.mean(), 1 - hits[answered].mean(), color="black", zorder=3, label="frames answered")
    axis.set(xlabel="coverage", ylabel="error rate", xlim=(0, 1.02), ylim=(0, None))
    axis.grid(alpha=0.3)
    axis.legend()
    figure.savefig(path, dpi=_DPI)
