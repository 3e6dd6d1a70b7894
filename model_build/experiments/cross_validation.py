"""Patient-wise cross-validation over all frames, test split included.

It estimates the recall of planes with few test frames. No model is chosen by it.
"""

from pathlib import Path

import numpy as np

from model_build.data.splits import patient_folds
from model_build.evaluation.predictions import Predictions
from model_build.evaluation.tables import Row, per_plane
from model_build.experiments.holdout import HoldOut, Study
from model_build.recipe import Recipe


def cross_validate(recipe: Recipe, data: Path, out: Path, folds: int, device: str) -> list[Row]:
    """Predict every frame with a network that was not trained on its patient.

    Returns
    -------
    One row per plane: recall over all folds with its exact interval.
    """
    study = Study.open(data, out, device)
    planes, records = study.data.planes, study.data.records
    holdout = HoldOut(study, records)
    probabilities = np.zeros((len(records), len(planes)), np.float32)
    for number, rows in enumerate(patient_folds(records, folds, seed=0)):
        inside = set(rows.tolist())
        rest = [record for row, record in enumerate(records) if row not in inside]
        probabilities[rows] = holdout.predict(recipe, rest, [records[row] for row in rows], f"fold-{number}")
    zeros = np.zeros(len(records), np.float32)  # no OOD score is computed and nothing abstains
    return per_plane(Predictions(records, probabilities, zeros, zeros > 0, planes))
