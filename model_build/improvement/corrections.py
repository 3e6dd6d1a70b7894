"""Corrected frames of a site: those that train, and those that compare the model before and after."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from model_build.data.formats import read_data
from model_build.data.leakage import drop_near_duplicates
from model_build.data.records import DataError, Dataset, DatasetIndex, Record
from model_build.data.splits import warn
from model_build.evaluation.predictions import match_planes
from service.schemas.file_names import path_text
from service.schemas.manifest import Plane


class Corrections(NamedTuple):
    """The corrected frames of a site, on two sides without a common patient."""

    train: Dataset
    held_out: Dataset


def read_corrections(folder: Path, planes: Sequence[Plane]) -> tuple[DatasetIndex, list[Record], list[Record]]:
    """Read a folder of corrected frames with `labels.csv`, as the page exports it.

    Return its index, the records that train, and those of held-out patients: the test side that the table states, else
    a fifth of the patients. The plane numbers index `planes`. Raises DataError where a plane is unknown, patients are
    not known, or there are too few of them.
    """
    index = read_data(folder)
    if not index.patients_known:
        raise DataError(f"{path_text(folder)} does not state patients, so none can be held out to compare the models")
    records = match_planes(index, planes)
    train = [record for record in records if record.split != "test"]
    held_out = [record for record in records if record.split == "test"]
    if not train or not held_out:
        missing = "no frame to train on" if not train else "no held-out frame"
        raise DataError(f"{path_text(folder)} has {missing}: its column `split` puts all frames on one side")
    both = {record.patient for record in train} & {record.patient for record in held_out}
    if both:
        raise DataError(
            f"{path_text(folder)}: {len(both)} patients have frames on both sides of the column `split`, such as "
            f"{min(both)}"
        )
    return index, train, held_out


def check_corrections(
    corrections: Corrections, train: Dataset, val: Dataset, test: Dataset, *, drop: bool
) -> Corrections:
    """Compare corrected frames with all frames that they must not repeat; the other data are the model's own sides.

    Raises DataError where a frame that trains shows the picture of a test, validation or held-out frame, or a held-out
    frame one that the model was trained on; with `drop`, such frames are left out.
    """
    own, held = corrections
    held = drop_near_duplicates(held, train, ("the held-out corrections", "train"), drop=drop)
    for other, name in ((test, "test"), (val, "validation"), (held, "the held-out corrections")):
        own = drop_near_duplicates(own, other, ("the corrections", name), drop=drop)
    dropped = [len(before.records) - len(after.records) for before, after in zip(corrections, (own, held), strict=True)]
    if any(dropped):
        warn([f"left out as repeated pictures: {dropped[0]} corrected frames of training, {dropped[1]} held-out ones."])
    if not own.records or not held.records:
        raise DataError("no corrected frame is left on one of the sides: all of them repeat other pictures")
    return Corrections(own, held)
