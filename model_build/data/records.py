"""Labeled frames: FETAL_PLANES_DB as it is published (Burgos-Artizzu et al. 2020, Zenodo 3904280), and what every
data set has. Other layouts are read by `model_build.data.formats`."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold
from tqdm import tqdm

from service.errors import Problem
from service.imaging.decode import decode_frame
from service.schemas.manifest import Plane

PLANES = (
    Plane(id="fetal_abdomen", label="Fetal abdomen"),
    Plane(id="fetal_brain", label="Fetal brain"),
    Plane(id="fetal_femur", label="Fetal femur"),
    Plane(id="fetal_thorax", label="Fetal thorax"),
    Plane(id="maternal_cervix", label="Maternal cervix"),
    Plane(id="other", label="Other"),
)
MAIN_PLANES = (0, 1, 2, 3)  # the classes with enough test frames to claim a rate

SUB_PLANES_OF = "fetal_brain"
SUB_PLANES = (
    Plane(id="trans_thalamic", label="Trans-thalamic"),
    Plane(id="trans_cerebellum", label="Trans-cerebellum"),
    Plane(id="trans_ventricular", label="Trans-ventricular"),
)

TABLE = "FETAL_PLANES_DB_data.csv"
_COLUMNS = ("Image_name", "Patient_num", "Plane", "US_Machine", "Train")
_PLANE_NUMBERS = {plane.label: number for number, plane in enumerate(PLANES)}
_SUB_PLANE_NUMBERS: dict[str, int | None] = {
    **{plane.label: number for number, plane in enumerate(SUB_PLANES)},
    "Other": None,  # brain planes of no name
    "Not A Brain": None,
}


class DataError(Exception):
    """The data set is not as it should be; the message names the file, and the row where there is one."""


@dataclass(frozen=True)
class Record:
    """One labeled frame on disk. The label comes from the table: the file name, which gives it away, is not read.

    Attributes
    ----------
    sub_plane
        Its number among `SUB_PLANES`; None where it is of none, or nobody said.
    stretched
        Somebody gave every frame of its set one shape, so that its aspect is not the scanner's. Such a frame teaches
        sub-planes alone: of the planes it would teach that "stretched" means one of them.
    """

    path: Path
    patient: str
    plane: int
    scanner: str
    split: Literal["train", "test"]
    sub_plane: int | None = None
    stretched: bool = False


@dataclass(frozen=True)
class Source:
    """Where a data set is from, as the model card names it."""

    name: str
    license: str = "not stated"
    citation: str = "not stated"


@dataclass(frozen=True)
class DataSet:
    """Labeled frames and the planes that they show.

    Attributes
    ----------
    planes
        In the order of the model's outputs; `Record.plane` counts in it.
    warnings
        What limits the trust in figures from these data; said when they are read, and written into the model card.
    """

    planes: tuple[Plane, ...]
    records: list[Record]
    source: Source
    warnings: tuple[str, ...] = ()

    def side(self, split: Literal["train", "test"]) -> list[Record]:
        """The records of one side of the split."""
        return [record for record in self.records if record.split == split]


def read_records(folder: Path, *, stretched: bool = False) -> list[Record]:
    """Read the table of a data set in the layout of FETAL_PLANES_DB; `stretched` is said of all its frames.

    Fields are separated by semicolons; the last column's name and values end in a space. `Brain_plane` may be missing.

    Raises
    ------
    DataError
        The table or an image file is missing, a column is missing, or a value is not known.
    """
    table = folder / TABLE
    if not table.is_file():
        raise DataError(f"{table} is missing: the folder must hold {TABLE} and Images/")
    rows = read_rows(table, _COLUMNS, ";")
    records = [_record(folder, table, number, row, stretched) for number, row in enumerate(rows, start=2)]
    require_files(records)
    return records


def read_rows(table: Path, columns: Sequence[str], delimiter: str) -> list[dict[str, str]]:
    """The rows of a CSV file, names and values stripped of spaces; raises DataError where a column is missing."""
    with table.open(newline="", encoding="utf-8-sig") as lines:
        rows = [
            {(name or "").strip(): (value or "").strip() for name, value in row.items() if isinstance(value, str)}
            for row in csv.DictReader(lines, delimiter=delimiter)
        ]
    if not rows:
        raise DataError(f"{table} has no rows")
    missing = [name for name in columns if name not in rows[0]]
    if missing:
        raise DataError(f"{table} lacks the columns {', '.join(missing)}; fields are separated by '{delimiter}'")
    return rows


def require_files(records: Sequence[Record]) -> None:
    """Raise DataError where a record's file is not there."""
    missing = [record.path for record in records if not record.path.is_file()]
    if missing:
        raise DataError(f"{missing[0].parent} lacks {len(missing)} of {len(records)} images, such as {missing[0].name}")


def _record(folder: Path, table: Path, number: int, row: dict[str, str], stretched: bool) -> Record:
    if row["Plane"] not in _PLANE_NUMBERS:
        raise DataError(f"{table}, line {number}: plane {row['Plane']!r} is none of {', '.join(_PLANE_NUMBERS)}")
    if row["Train"] not in ("0", "1"):
        raise DataError(f"{table}, line {number}: Train is {row['Train']!r}; 1 is train, 0 is test")
    finer = row.get("Brain_plane", "Not A Brain")
    if finer not in _SUB_PLANE_NUMBERS:
        raise DataError(f"{table}, line {number}: Brain_plane {finer!r} is none of {', '.join(_SUB_PLANE_NUMBERS)}")
    return Record(
        path=folder / "Images" / f"{row['Image_name']}.png",
        patient=row["Patient_num"],
        plane=_PLANE_NUMBERS[row["Plane"]],
        scanner=row["US_Machine"],
        split="train" if row["Train"] == "1" else "test",
        sub_plane=_SUB_PLANE_NUMBERS[finer],
        stretched=stretched,
    )


def patient_folds(records: Sequence[Record], folds: int, seed: int) -> list[NDArray[np.int64]]:
    """Split records into `folds` parts of about the same mix of planes; no patient stands in two of them.

    Returns
    -------
    The row numbers of each fold, int64; together they are all rows.
    """
    splitter = StratifiedGroupKFold(n_splits=folds, shuffle=True, random_state=seed)
    planes = [record.plane for record in records]
    patients = [record.patient for record in records]
    return [val for _, val in splitter.split(np.zeros(len(records)), planes, patients)]


def planes_of(records: Sequence[Record]) -> NDArray[np.int64]:
    """The true planes, int64 [N]."""
    return np.array([record.plane for record in records], np.int64)


def carve_validation(records: Sequence[Record], folds: int) -> tuple[list[Record], list[Record]]:
    """Train and validation records, by patient: one of `folds` patient-wise folds validates.

    The same patients whatever a run's seed, so that runs can be compared and averaged.
    """
    val = set(patient_folds(records, folds, seed=0)[0].tolist())
    training = [record for row, record in enumerate(records) if row not in val]
    return training, [records[row] for row in sorted(val)]


def load_frames(records: Sequence[Record]) -> list[NDArray[np.uint8]]:
    """Decode every frame with the service's own decoder: gray uint8 [H, W], sizes as they come.

    Raises
    ------
    DataError
        A file cannot be decoded; the message names it.
    """
    return [decode_record(record) for record in tqdm(records, desc="decoding", unit="frame", disable=None)]


def decode_record(record: Record) -> NDArray[np.uint8]:
    """Decode one frame with the service's own decoder; raises DataError, which names the file."""
    try:
        return decode_frame(record.path.read_bytes()).pixels
    except Problem as error:
        raise DataError(f"{record.path} cannot be read: {error}") from error
