"""How well a network transfers to a scanner that it was not trained on."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from model_build.data.labels import main_planes
from model_build.data.records import DataError
from model_build.evaluation.metrics import calibration_error, macro_f1
from model_build.evaluation.predictions import Predictions
from model_build.evaluation.selective import selective_rows
from model_build.evaluation.tables import Row, top1_columns
from model_build.experiments.holdout import Study
from model_build.recipe import Recipe


def leave_one_scanner_out(recipe: Recipe, data: Path, out: Path, scanners: Sequence[str], device: str) -> list[Row]:
    """Train without each scanner, score its frames and return one row per scanner.

    Each row also has the calibration error and what selective prediction by probability reaches there, before
    temperature scaling. Only the train split is used. Where the four main planes of FETAL_PLANES_DB exist, only they
    are scored. Patients of the scanner are left out of training with all their frames.

    Raises
    ------
    DataError
        A scanner has no frame to score.
    """
    study = Study(data, out, device)
    planes, records = study.data.planes, study.data.side("train")
    scored = main_planes([plane.id for plane in planes]) or range(len(planes))
    unknown = sorted(set(scanners) - {record.scanner for record in records if record.plane in scored})
    if unknown:
        known = ", ".join(sorted({record.scanner for record in records}))
        raise DataError(f"no training frame is from scanner {', '.join(unknown)}; the data set has: {known}")
    left_out: list[tuple[str, int, Predictions]] = []
    for scanner in scanners:
        val = [record for record in records if record.scanner == scanner and record.plane in scored]
        patients = {record.patient for record in records if record.scanner == scanner}
        rest = [record for record in records if record.patient not in patients]
        probabilities = study.predict(recipe, rest, val, scanner.lower().replace(" ", "-"))
        left_out.append((scanner, len(rest), Predictions(val, probabilities, np.zeros(len(val), np.bool_), planes)))
    return [{"scanner": scanner, "train_frames": count, **_scores(own)} for scanner, count, own in left_out]


def _scores(own: Predictions) -> Row:
    """Return the columns of accuracy, and those of selective prediction by the top-1 probability."""
    (selective,) = selective_rows({"": own})
    columns = [name for name in selective if name.startswith("accuracy_at_")] + ["aurc", "error_auroc"]
    return {
        **top1_columns(own.probabilities, own.labels),
        "macro_f1": macro_f1(own.probabilities, own.labels),
        "calibration_error": calibration_error(own.probabilities, own.labels),
        **{name: selective[name] for name in columns},
    }
