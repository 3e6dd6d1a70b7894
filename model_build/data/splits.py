"""Divide records into training, validation and test frames."""

import os
import sys
import warnings
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from model_build.data.leakage import check_patient_overlap, drop_near_duplicates
from model_build.data.records import DataError, Dataset, DatasetIndex, FrameLoader, Record, TestSide, planes_of
from model_build.recipe import Recipe
from service.schemas.file_names import path_text

_TEST_FOLDS = 5  # 80:20


class Split(NamedTuple):
    """The records of each side; no record is on two sides."""

    train: list[Record]
    val: list[Record]
    test: list[Record]


def patient_folds(records: Sequence[Record], folds: int, seed: int) -> list[NDArray[np.int64]]:
    """Return the rows of `folds` parts, int64 each, with about the same mix of planes; no patient is in two parts."""
    splitter = StratifiedGroupKFold(n_splits=folds, shuffle=True, random_state=seed)
    patients = [record.patient for record in records]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of a plane with fewer patients than parts, which some parts lack
        return [fold for _, fold in splitter.split(np.zeros(len(records)), planes_of(records), patients)]


def carve_validation(records: Sequence[Record], folds: int) -> tuple[list[Record], list[Record]]:
    """Return training and validation records: the first of `folds` patient-wise folds validates.

    The seed of a run does not change the validation patients, so that runs can be compared and averaged.
    """
    return _partition(records, patient_folds(records, folds, seed=0)[0])


def make_split(data: DatasetIndex, recipe: Recipe) -> Split:
    """Divide a data set as the recipe says.

    The validation frames are those that the data set states, if the recipe takes its split; else they are of patients
    of the training side. Raises DataError where a patient is on two sides, unless the recipe splits by frame, or where
    a plane has no training frame.
    """
    try:
        training, test = _sides(data, recipe)
    except ValueError as error:
        raise DataError(
            f"{path_text(data.folder)} has too few frames for the recipe's split, {recipe.split!r}: no class has 5"
        ) from error
    if not training:
        raise DataError(f"{path_text(data.folder)} has no training frames, only test frames")
    try:
        train, val = _validation(training, recipe)
    except ValueError as error:
        raise DataError(
            f"{path_text(data.folder)} has too few frames for the recipe's validation_folds, {recipe.validation_folds}"
        ) from error
    trained = {record.plane for record in train}
    missing = [plane.label for number, plane in enumerate(data.planes) if number not in trained]
    if missing:
        raise DataError(f"{path_text(data.folder)}: these planes have no training frame: {', '.join(missing)}")
    if recipe.split != "frames":
        check_patient_overlap(train, val, ("train", "validation"))
        check_patient_overlap(training, test, ("train", "test"))
    return Split(train, val, test)


def _validation(training: list[Record], recipe: Recipe) -> tuple[list[Record], list[Record]]:
    """Return training and validation records of the training side."""
    val = [record for record in training if record.split == "val"]
    if recipe.split == "official" and val:
        return [record for record in training if record.split != "val"], val
    return carve_validation(training, recipe.validation_folds)


def _sides(data: DatasetIndex, recipe: Recipe) -> tuple[list[Record], list[Record]]:
    if recipe.split == "official":
        return data.side("train"), data.side("test")
    if recipe.split == "patients":
        return _partition(data.records, patient_folds(data.records, _TEST_FOLDS, seed=0)[0])
    return _partition(data.records, _frame_fold(data.records))


def _frame_fold(records: Sequence[Record]) -> NDArray[np.int64]:
    """Return the rows of a fifth of the frames, also of one patient; a loop stays whole."""
    files, planes = [str(record.path) for record in records], planes_of(records)
    loops = len(set(files)) < len(files)
    splitter = (StratifiedGroupKFold if loops else StratifiedKFold)(_TEST_FOLDS, shuffle=True, random_state=0)
    _, rows = next(splitter.split(np.zeros(len(records)), planes, files if loops else None))
    return np.asarray(rows, np.int64)


def _partition(records: Sequence[Record], rows: NDArray[np.int64]) -> tuple[list[Record], list[Record]]:
    """Return the records outside of `rows` and those of `rows`, each in their original order."""
    inside = set(rows.tolist())
    outside = [record for row, record in enumerate(records) if row not in inside]
    return outside, [records[row] for row in sorted(inside)]


def split_stretched(records: Sequence[Record], split: Split) -> Split:
    """Put stretched frames on the side of their patient; for a new patient, on the side that their table states.

    Frames without a sub-plane are left out.
    """
    side_of = {record.patient: side for side, own in split._asdict().items() for record in own}
    sides: dict[str, list[Record]] = {side: [] for side in Split._fields}
    for record in records:
        if record.sub_plane is not None:
            sides[side_of.get(record.patient, record.split)].append(record)
    return Split(**sides)


def check_leakage(split: Split, recipe: Recipe, load: FrameLoader, *, drop: bool) -> Split:
    """Return the split without pictures that are on two sides; test frames are hashed for this purpose only.

    With `drop`, the training or validation copy is left out; without, such a picture raises DataError. All sides are
    decoded at once, so that one message names all unreadable frames.
    """
    frames = iter(load([record for side in split for record in side]))
    train, val, test = (Dataset(list(islice(frames, len(side))), side) for side in split)
    train = drop_near_duplicates(train, val, ("train", "validation"), drop=drop)
    if recipe.split != "frames":  # a split by frame leaks into the test side on purpose
        train = drop_near_duplicates(train, test, ("train", "test"), drop=drop)
        val = drop_near_duplicates(val, test, ("validation", "test"), drop=drop)
    return Split(list(train.records), list(val.records), split.test)


def find_test_side(data: DatasetIndex, recipe: Recipe) -> TestSide:
    """Return which frames are on the test side of `make_split`."""
    if recipe.split == "official":
        return data.test_side
    return "files" if recipe.split == "patients" and not data.patients_known else recipe.split


def split_warnings(data: DatasetIndex, recipe: Recipe, split: Split) -> tuple[str, ...]:
    """Return one sentence for each limit of the figures measured on the test side."""
    if recipe.split != "frames":
        return data.warnings
    trained = {record.patient for record in (*split.train, *split.val)}
    leaked = sum(record.patient in trained for record in split.test)
    warning = (
        f"THE SPLIT IS BY FRAME: {leaked} of the {len(split.test)} test frames are of patients with frames in "
        "training, so every figure measured on them is too good."
    )
    return (*data.warnings, warning)


def describe_split(data: DatasetIndex, split: Split) -> Iterable[str]:
    """Yield lines that describe a data set: its planes, and the frames and patients of each side."""
    yield f"{data.source.name}: {len(data.records)} frames, {len(data.planes)} planes"
    for name, records in split._asdict().items():
        frames = np.bincount(planes_of(records), minlength=len(data.planes))
        counts = ", ".join(f"{plane.label} {count}" for plane, count in zip(data.planes, frames, strict=True))
        patients = len({record.patient for record in records})
        yield f"{name}: {len(records)} frames of {patients} patients ({counts})"


def describe_files(data: DatasetIndex) -> Iterable[str]:
    """Yield lines on how the files of a data set were read, and one for each file that was skipped."""
    yield from data.notes
    if data.skipped:
        yield f"skipped: {len(data.skipped)}"
        yield from (f"  {path_text(os.path.relpath(each.path, data.folder))}: {each.reason}" for each in data.skipped)


def file_warnings(data: DatasetIndex, split: Split) -> Iterable[str]:
    """Yield a sentence for each part of the data that a training does not get, or that a package will lack."""
    if data.skipped:
        yield f"skipped files and folders of {path_text(data.folder)}: {len(data.skipped)}; `check` lists them."
    if not split.test:
        yield "the split has no test frames, so `package` will refuse the run; state some, or state no split."


def warn(sentences: Iterable[str]) -> None:
    """Write each sentence to standard error as a warning."""
    sys.stderr.writelines(f"WARNING: {sentence}\n" for sentence in sentences)
