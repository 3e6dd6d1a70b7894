"""Patient-wise cross-validation over all frames, test split included.

It estimates the recall of planes with few test frames. No model is chosen by it.
"""

from pathlib import Path

import numpy as np

from model_build.data.splits import patient_folds
from model_build.evaluation.predictions import Predictions
from model_build.evaluation.tables import Row, per_plane
from model_build.experiments.holdout import Study
from model_build.recipe import Recipe


def cross_validate(recipe: Recipe, data: Path, out: Path, folds: int, device: str) -> list[Row]:
    """Return one row per plane: its recall by networks that were not trained on the patient of the frame."""
    study = Study(data, out, device)
    planes, records = study.data.planes, study.data.records
    probabilities = np.zeros((len(records), len(planes)), np.float32)
    for number, rows in enumerate(patient_folds(records, folds, seed=0)):
        rest = [records[row] for row in np.setdiff1d(np.arange(len(records)), rows)]
        probabilities[rows] = study.predict(recipe, rest, [records[row] for row in rows], f"fold-{number}")
    return per_plane(Predictions(records, probabilities, np.zeros(len(records), np.bool_), planes))
