"""Which frames train, which validate, which test."""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from sklearn.model_selection import StratifiedKFold

from model_build.data.leakage import check_patient_overlap
from model_build.data.records import DataError, DataSet, Record, carve_validation, patient_folds, read_records
from model_build.recipe import Recipe

_FIFTHS = 5  # 80:20


class Split(NamedTuple):
    """The records of each side; together they are the whole data set."""

    train: list[Record]
    val: list[Record]
    test: list[Record]


def make_split(data: DataSet, recipe: Recipe) -> Split:
    """Divide a data set as a recipe wants it; validation patients are carved out of what trains.

    Raises
    ------
    DataError
        A patient stands on both sides, unless the recipe splits by frame; or a side is empty.
    """
    training, test = _sides(data, recipe)
    if not training:
        raise DataError("no frame is for training: the data set has test frames alone")
    try:
        train, val = carve_validation(training, recipe.validation_folds)
    except ValueError as error:
        raise DataError(f"too few frames for the recipe's validation_folds, {recipe.validation_folds}") from error
    missing = [plane.label for number, plane in enumerate(data.planes) if all(each.plane != number for each in train)]
    if missing:
        raise DataError(f"no frame is for training on: {', '.join(missing)}")
    if recipe.split != "frames":
        check_patient_overlap(training, test, ("train", "test"))
    return Split(train, val, test)


def read_stretched(folder: Path | None, split: Split) -> Split:
    """The frames of a folder that teach sub-planes alone, each on its side; none where there is no folder."""
    return split_stretched(read_records(folder, stretched=True) if folder else [], split)


def split_stretched(records: Sequence[Record], split: Split) -> Split:
    """Where frames that teach sub-planes alone go: each to the side of its patient, and else as their own table says.

    Frames without a sub-plane go nowhere.
    """
    val = {record.patient for record in split.val}
    trained = {record.patient for record in split.train}
    tested = {record.patient for record in split.test}
    sides = Split([], [], [])
    for record in records:
        if record.sub_plane is None:
            continue
        if record.patient in tested or (record.split == "test" and record.patient not in val | trained):
            sides.test.append(record)
        elif record.patient in val:
            sides.val.append(record)
        else:
            sides.train.append(record)
    return sides


def _sides(data: DataSet, recipe: Recipe) -> tuple[list[Record], list[Record]]:
    if recipe.split == "official":
        return data.side("train"), data.side("test")
    if recipe.split == "patients":
        test = patient_folds(data.records, _FIFTHS, seed=0)[0]
    else:
        folds = StratifiedKFold(_FIFTHS, shuffle=True, random_state=0)
        planes = [record.plane for record in data.records]
        _, test = next(folds.split(np.zeros(len(planes)), planes))
    inside = set(test.tolist())
    training = [record for row, record in enumerate(data.records) if row not in inside]
    return training, [data.records[row] for row in sorted(inside)]


def limits(data: DataSet, recipe: Recipe, split: Split) -> tuple[str, ...]:
    """What limits the trust in figures on the test side, in a sentence each."""
    said = list(data.warnings)
    if recipe.split == "frames":
        seen = {record.patient for record in (*split.train, *split.val)}
        known = sum(record.patient in seen for record in split.test)
        said.append(
            f"THE SPLIT IS BY FRAME: {known} of the {len(split.test)} test frames are of patients that were trained "
            "on, and every figure measured so is too good."
        )
    return tuple(said)


def main_planes(data_planes: Sequence[str]) -> tuple[int, ...]:
    """The numbers of the four main planes of FETAL_PLANES_DB, where they are among others; empty where they are not."""
    wanted = ("fetal_abdomen", "fetal_brain", "fetal_femur", "fetal_thorax")
    if not set(wanted) < set(data_planes):
        return ()
    return tuple(data_planes.index(name) for name in wanted)


def warn(sentences: Iterable[str]) -> None:
    """Write each sentence to standard error as a warning."""
    sys.stderr.writelines(f"WARNING: {sentence}\n" for sentence in sentences)
