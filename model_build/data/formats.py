"""Data sets in any layout that is read here: `read_data` tells them apart.

- `FETAL_PLANES_DB_data.csv` beside `Images`: as published.
- `African_planes_database.csv` beside a folder a center: the African planes (Sendra-Balcells et al. 2023).
- A CSV file, or a folder with `labels.csv`: columns `path`, `label` and `patient`; `machine` and `split` if wanted.
- A folder a class, with frames in it, or with a folder a patient and frames in that; `train` and `test` above them if
  wanted.
"""

import re
import tomllib
import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from model_build.data.records import (
    PLANES,
    TABLE,
    DataError,
    DataSet,
    Record,
    Source,
    patient_folds,
    read_records,
    read_rows,
    require_files,
)
from service.schemas.manifest import Plane

AFRICAN_TABLE = "African_planes_database.csv"
NO_PATIENTS = (
    "PATIENTS ARE NOT KNOWN: frames of one woman may stand on both sides of a split, and every figure measured so is "
    "too good. Give a patient with each frame."
)

_FULL_SET = 12_400
_TEST_FOLDS = 5  # a data set without a split of its own: one fifth of the patients test
_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".dcm"}
_SPLITS: dict[str, Literal["train", "test"]] = {"train": "train", "test": "test"}
_AFRICAN = Source(
    "African fetal planes, five centers",
    "CC BY 4.0",
    "Sendra-Balcells et al., Sci Rep 13:2728 (2023), doi 10.1038/s41598-023-29490-3; Zenodo 7540448",
)


def read_data(path: Path) -> DataSet:
    """Read a data set.

    Parameters
    ----------
    path
        Its folder, or its CSV file. A file `dataset.toml` beside may state `name`, `license` and `citation`.

    Raises
    ------
    DataError
        Something is missing or not as its layout wants it; the message names the file, and the row where there is one.
    """
    if path.is_file():
        return _read_table(path)
    if not path.is_dir():
        raise DataError(f"{path} is neither a folder nor a CSV file")
    if (path / TABLE).is_file():
        return _read_published(path)
    if (path / AFRICAN_TABLE).is_file():
        return _read_african(path)
    if (path / "labels.csv").is_file():
        return _read_table(path / "labels.csv")
    return _read_tree(path)


def _read_published(folder: Path) -> DataSet:
    records = read_records(folder)
    part = "" if len(records) == _FULL_SET else f", the subset of {len(records):,} frames"
    source = Source(
        f"FETAL_PLANES_DB{part}",
        "CC BY 4.0",
        "Burgos-Artizzu et al., Sci Rep 10:10200 (2020), doi 10.1038/s41598-020-67076-5; Zenodo 3904280",
    )
    return DataSet(PLANES, records, source)


def _read_african(folder: Path) -> DataSet:
    """All frames are test frames: the set is there to test with. A patient's number counts within its center."""
    numbers = {plane.label: number for number, plane in enumerate(PLANES)}
    records = []
    rows = read_rows(folder / AFRICAN_TABLE, ("Filename", "Center", "Patient_num", "Plane"), ",")
    for line, row in enumerate(rows, start=2):
        if row["Plane"] not in numbers:
            raise DataError(f"{folder / AFRICAN_TABLE}, line {line}: plane {row['Plane']!r} is not known")
        file = folder / row["Center"] / f"{row['Filename'].removesuffix('.png')}.png"
        patient = f"{row['Center']} {row['Patient_num']}"
        records.append(Record(file, patient, numbers[row["Plane"]], row["Center"], "test"))
    require_files(records)
    return DataSet(PLANES, records, _AFRICAN)


def _read_table(table: Path) -> DataSet:
    with table.open(encoding="utf-8-sig") as lines:
        header = lines.readline()
    delimiter = max(",;\t", key=header.count)
    rows = read_rows(table, ("path", "label"), delimiter)
    split_known, patients_known = "split" in rows[0], "patient" in rows[0]
    planes, number_of = _planes([row["label"] for row in rows], table)
    records = []
    for line, row in enumerate(rows, start=2):
        if split_known and row["split"] not in _SPLITS:
            raise DataError(f"{table}, line {line}: split is {row['split']!r}; it is train or test")
        if patients_known and not row["patient"]:
            raise DataError(f"{table}, line {line}: no patient; leave the whole column out where none is known")
        patient = row["patient"] if patients_known else row["path"]
        scanner = row.get("machine") or "unknown"
        side = _SPLITS[row["split"]] if split_known else "train"
        records.append(Record(table.parent / row["path"], patient, number_of[row["label"]], scanner, side))
    return _finish(table.parent, planes, records, split_known, patients_known)


def _read_tree(folder: Path) -> DataSet:
    names = {child.name for child in folder.iterdir() if child.is_dir()}
    split_known = bool(names) and names <= set(_SPLITS)
    depth = 2 if split_known else 1
    files = sorted(file for file in folder.rglob("*") if _is_frame(folder, file))
    parts = [file.relative_to(folder).parts for file in files]
    if not files or any(len(each) - depth not in (1, 2) for each in parts):
        raise DataError(
            f"{folder} is no data set: it needs {TABLE}, {AFRICAN_TABLE}, labels.csv, or a folder a class "
            "with frames (class/frame.png or class/patient/frame.png) in it"
        )
    patients = {len(each) - depth == 2 for each in parts}
    if len(patients) > 1:
        raise DataError(f"{folder}: some frames lie in a patient's folder (class/patient/frame.png), others do not")
    patients_known = patients == {True}
    planes, number_of = _planes([each[depth - 1] for each in parts], folder)
    records = [
        Record(
            file,
            each[depth] if patients_known else "/".join(each),
            number_of[each[depth - 1]],
            "unknown",
            _SPLITS[each[0]] if split_known else "train",
        )
        for file, each in zip(files, parts, strict=True)
    ]
    return _finish(folder, planes, records, split_known, patients_known)


def _is_frame(folder: Path, file: Path) -> bool:
    hidden = any(part.startswith(".") for part in file.relative_to(folder).parts)
    return file.suffix.lower() in _SUFFIXES and not hidden and file.is_file()


def _finish(
    folder: Path, planes: tuple[Plane, ...], records: list[Record], split_known: bool, patients_known: bool
) -> DataSet:
    require_files(records)
    warnings = () if patients_known else (NO_PATIENTS,)
    if not split_known and len({record.patient for record in records}) < _TEST_FOLDS:
        raise DataError(f"{folder} states no split, and has too few patients to make one: at least {_TEST_FOLDS}")
    if not split_known:
        test = set(patient_folds(records, _TEST_FOLDS, seed=0)[0].tolist())
        records = [replace(record, split="test") if row in test else record for row, record in enumerate(records)]
    return DataSet(planes, records, _source(folder), warnings)


def _source(folder: Path) -> Source:
    file = folder / "dataset.toml"
    stated = tomllib.loads(file.read_text("utf-8")) if file.is_file() else {}
    unknown = set(stated) - {"name", "license", "citation"}
    if unknown:
        raise DataError(f"{file}: {', '.join(sorted(unknown))} is not known; it holds name, license and citation")
    return Source(**{"name": folder.resolve().name} | stated)


def _planes(labels: Sequence[str], place: Path) -> tuple[tuple[Plane, ...], dict[str, int]]:
    """The planes behind labels, by id, `other` last; and each label's number."""
    ids = {label: plane_id(label) for label in sorted(set(labels))}
    if len(ids) < 2:
        raise DataError(f"{place} has one class, {labels[0]!r}; at least two can be told apart")
    order = sorted(set(ids.values()), key=lambda each: (each == "other", each))
    if len(order) < len(ids):
        raise DataError(f"{place}: of the labels {', '.join(ids)}, two would have the same id in the API")
    known = {plane.id: plane for plane in PLANES}
    try:
        planes = [known.get(plane, Plane(id=plane, label=_label(label))) for label, plane in ids.items()]
    except ValidationError as error:
        raise DataError(f"{place}: a label gives no id for the API: {', '.join(ids)}") from error
    planes.sort(key=lambda plane: order.index(plane.id))
    return tuple(planes), {label: order.index(plane) for label, plane in ids.items()}


def plane_id(label: str) -> str:
    """The id of a label in the API: `Trans-thalamic (TT)` gives `trans_thalamic_tt`."""
    letters = unicodedata.normalize("NFKD", label).encode("ascii", "ignore").decode().lower()
    return re.sub(r"^(?=\d)", "plane_", re.sub(r"[^a-z0-9]+", "_", letters).strip("_"))


def _label(name: str) -> str:
    return name if re.search(r"[A-Z ]", name) else name.replace("_", " ").capitalize()
