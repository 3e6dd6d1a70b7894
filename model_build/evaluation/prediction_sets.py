"""Prediction sets: fitted to validation patients, and the coverage that they reach on other frames."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from model_build.data.records import Record
from model_build.evaluation.metrics import exact_interval
from model_build.evaluation.predictions import Predictions
from model_build.evaluation.tables import Row
from service.analysis.prediction_set import SetRule
from service.errors import BadParameter
from service.schemas.manifest import PredictionSets

LEVELS = (0.8, 0.9, 0.95)
_DECIMALS = 4  # coarser than the differences between PyTorch and ONNX Runtime


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


def coverage_rows(predictions: Predictions, sets: PredictionSets, levels: Sequence[float] = LEVELS) -> list[Row]:
    """Return one row per level and plane: the frames whose set holds their plane, and the mean size of their sets.

    Frames that are out of distribution get no set and are not counted. A level that no plane has enough validation
    patients for has no row.
    """
    far = predictions.out_of_distribution
    kept = predictions if far is None else predictions.select(~far)
    rows: list[Row] = []
    for level in levels:
        try:
            rule = SetRule.of(predictions.planes, sets, level)
        except BadParameter:
            continue
        members = [rule.members(np.argsort(-row, kind="stable").tolist(), row.tolist()) for row in kept.probabilities]
        covered = np.array([label in own for label, own in zip(kept.labels.tolist(), members, strict=True)], np.bool_)
        sizes = np.array(list(map(len, members)), np.int64)
        for number, plane in enumerate(predictions.planes):
            own = kept.labels == number
            row: Row = {"level": level, "plane": plane.label, "supported": "yes" if rule.supported[number] else "no"}
            rows.append(row | _coverage(kept.select(own).patients, covered[own], sizes[own]))
        everything: Row = {"level": level, "plane": "all", "supported": ""}
        rows.append(everything | _coverage(kept.patients, covered, sizes))
    return rows


def _coverage(patients: Sequence[str], covered: NDArray[np.bool_], sizes: NDArray[np.int64]) -> Row:
    hits, count = int(covered.sum()), len(covered)
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
    }
