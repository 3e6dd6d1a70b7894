"""Rows of planes, and of the groups of a plane."""

from pathlib import Path

import numpy as np

from model_build.data.labels import PLANES
from model_build.data.records import Record
from model_build.evaluation.predictions import Predictions
from model_build.evaluation.tables import per_plane


def predictions(groups: list[str | None]) -> Predictions:
    records = [Record(Path(f"{row}.png"), str(row), 1, "x", "test", group=group) for row, group in enumerate(groups)]
    probabilities = np.tile([0.2, 0.8], (len(groups), 1))
    probabilities[0] = (0.9, 0.1)
    return Predictions(records, probabilities, np.zeros(len(groups), np.bool_), PLANES[:2])


def test_groups_of_a_plane_have_rows_of_their_own() -> None:
    rows = per_plane(predictions(["fetal", "fetal", "carotid"]))
    assert [(row["plane"], row["frames"], row["correct"]) for row in rows[1:]] == [
        ("Fetal brain", 3, 2),
        ("Fetal brain: carotid", 1, 1),
        ("Fetal brain: fetal", 2, 1),
    ]
    assert [row["precision"] for row in rows] == [0.0, 1.0, "", ""]


def test_a_single_group_has_no_row_of_its_own() -> None:
    assert len(per_plane(predictions(["fetal", "fetal"]))) == len(per_plane(predictions([None, None]))) == 2
