"""A user's own data, whatever their layout: labeled files become an index with planes, frames and a split."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from model_build.data.formats.own_data.dataset_toml import Statements
from model_build.data.formats.own_data.planes import own_planes
from model_build.data.records import DataError, DatasetIndex, Record, Skipped, SplitName, TestSide
from model_build.data.splits import patient_folds

NO_PATIENTS = (
    "PATIENTS ARE NOT KNOWN: frames of one patient may be on both sides of a split, so every result on these "
    "data is too good. Give a patient with each frame."
)

_TEST_FOLDS = 5  # without a split of its own, one fifth of the patients test


@dataclass(frozen=True)
class LabeledFile:
    """A file of frames with one label; a loop has several."""

    path: Path
    label: str  # as `clean_label` gives it
    patient: str
    frames: int = 1
    split: SplitName | None = None  # None in all files where the data state no split
    scanner: str = "unknown"
    sub_plane: int | None = None  # index into `SUB_PLANES`


@dataclass(frozen=True)
class OwnData:
    """What a reader found."""

    folder: Path
    origin: str  # the folder or table, for messages
    files: Sequence[LabeledFile]
    statements: Statements
    patients_known: bool
    skipped: tuple[Skipped, ...] = ()


def build_index(data: OwnData) -> DatasetIndex:
    """Return the index of labeled files: one record per frame, all frames of a file in a row.

    Raises DataError where the labels cannot be planes, or no split is stated and there are too few patients for one.
    """
    planes, number_of = own_planes((file.label for file in data.files), data.statements, data.origin)
    records = [
        Record(
            file.path,
            file.patient,
            number_of[file.label],
            file.scanner,
            file.split or "train",
            file.sub_plane,
            index=index,
        )
        for file in data.files
        for index in range(file.frames)
    ]
    test_side: TestSide = "stated"
    if data.files[0].split is None:
        records, test_side = _with_test_side(records, data.origin), "patients" if data.patients_known else "files"
    return DatasetIndex(
        data.folder,
        planes,
        records,
        data.statements.source,
        () if data.patients_known else (NO_PATIENTS,),
        data.skipped,
        patients_known=data.patients_known,
        test_side=test_side,
        notes=_loops(data.files),
    )


def _with_test_side(records: list[Record], origin: str) -> list[Record]:
    """Return the records with a fifth of the patients on the test side."""
    try:
        if len({record.patient for record in records}) < _TEST_FOLDS:
            raise ValueError
        rows = set(patient_folds(records, _TEST_FOLDS, seed=0)[0].tolist())
    except ValueError as error:  # scikit-learn's where every class has fewer frames than there are folds
        raise DataError(
            f"{origin} states no split and has too few patients to make one: at least {_TEST_FOLDS} are needed, and a "
            f"class with {_TEST_FOLDS} frames"
        ) from error
    return [replace(record, split="test") if row in rows else record for row, record in enumerate(records)]


def _loops(files: Sequence[LabeledFile]) -> tuple[str, ...]:
    loops = [file.frames for file in files if file.frames > 1]
    if not loops:
        return ()
    name = "1 loop" if len(loops) == 1 else f"{len(loops)} loops"
    return (f"{name} with {sum(loops)} frames: every frame counts, and a loop stays on one side of the split",)
