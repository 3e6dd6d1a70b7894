"""A user's own data: a CSV file with one row per frame, or one folder per class."""

import re
import tomllib
import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from model_build.data.formats.csv_table import read_rows, require_files
from model_build.data.labels import PLANES
from model_build.data.records import DataError, DatasetIndex, Record, Source
from model_build.data.splits import patient_folds
from service.schemas.manifest import Plane

NO_PATIENTS = (
    "PATIENTS ARE NOT KNOWN: frames of one patient may be on both sides of a split, so every result on these "
    "data is too good. Give a patient with each frame."
)

_TEST_FOLDS = 5  # without a split of its own, one fifth of the patients test
_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".dcm"}
_SPLITS: dict[str, Literal["train", "test"]] = {"train": "train", "test": "test"}


def read_labels_table(table: Path) -> DatasetIndex:
    """Read a CSV file with the columns `path`, `label` and, optionally, `patient`, `scanner` and `split`."""
    with table.open(encoding="utf-8-sig") as lines:
        header = lines.readline()
    rows = read_rows(table, ("path", "label"), max(",;\t", key=header.count))
    planes, number_of = _planes([row["label"] for row in rows], table)
    records = []
    for line, row in enumerate(rows, start=2):
        split, patient = row.get("split", "train"), row.get("patient", row["path"])
        if split not in _SPLITS:
            raise DataError(f"{table}, line {line}: split is {split!r}; it must be train or test")
        if not patient:
            raise DataError(f"{table}, line {line}: no patient; remove the column if patients are not known")
        scanner = row.get("scanner") or "unknown"
        records.append(Record(table.parent / row["path"], patient, number_of[row["label"]], scanner, _SPLITS[split]))
    return _index(table.parent, planes, records, "split" in rows[0], "patient" in rows[0])


def read_class_folders(folder: Path) -> DatasetIndex:
    """Read `class/frame.png` or `class/patient/frame.png`, optionally below `train` and `test`."""
    names = {child.name for child in folder.iterdir() if child.is_dir()}
    split_known = bool(names) and names <= set(_SPLITS)
    depth = int(split_known)  # of the class folders
    files = sorted(file for file in folder.rglob("*") if _is_frame(folder, file))
    parts = [file.relative_to(folder).parts for file in files]
    lengths = {len(each) - depth for each in parts}  # 2: class and frame; 3: class, patient and frame
    if not lengths or not lengths <= {2, 3}:
        raise DataError(
            f"{folder} is not a data set: it must hold FETAL_PLANES_DB_data.csv, African_planes_database.csv, "
            "labels.csv, or one folder per class with frames (class/frame.png or class/patient/frame.png)"
        )
    if len(lengths) > 1:
        raise DataError(f"{folder}: some frames are in a patient's folder (class/patient/frame.png), others are not")
    patients_known = lengths == {3}
    planes, number_of = _planes([each[depth] for each in parts], folder)
    records = []
    for file, each in zip(files, parts, strict=True):
        patient = each[depth + 1] if patients_known else "/".join(each)
        split = _SPLITS[each[0]] if split_known else "train"
        records.append(Record(file, patient, number_of[each[depth]], "unknown", split))
    return _index(folder, planes, records, split_known, patients_known)


def _is_frame(folder: Path, file: Path) -> bool:
    hidden = any(part.startswith(".") for part in file.relative_to(folder).parts)
    return file.suffix.lower() in _SUFFIXES and not hidden and file.is_file()


def _index(
    folder: Path, planes: tuple[Plane, ...], records: list[Record], split_known: bool, patients_known: bool
) -> DatasetIndex:
    require_files(records)
    if not split_known:
        if len({record.patient for record in records}) < _TEST_FOLDS:
            raise DataError(f"{folder} states no split and has too few patients to make one: at least {_TEST_FOLDS}")
        for row in patient_folds(records, _TEST_FOLDS, seed=0)[0]:
            records[row] = replace(records[row], split="test")
    return DatasetIndex(folder, planes, records, _source(folder), () if patients_known else (NO_PATIENTS,))


def _source(folder: Path) -> Source:
    file = folder / "dataset.toml"
    stated = tomllib.loads(file.read_text("utf-8")) if file.is_file() else {}
    unknown = set(stated) - {"name", "license", "citation"}
    if unknown:
        raise DataError(f"{file}: {', '.join(sorted(unknown))} is not known; use name, license and citation")
    return Source(**{"name": folder.resolve().name} | stated)


def _planes(labels: Sequence[str], origin: Path) -> tuple[tuple[Plane, ...], dict[str, int]]:
    """Return the planes of the labels, sorted by id with `other` last, and each label's class number."""
    ids = {label: plane_id(label) for label in sorted(set(labels))}
    if len(ids) < 2:
        raise DataError(f"{origin} has one class, {labels[0]!r}; a classifier needs at least two")
    if len(set(ids.values())) < len(ids):
        raise DataError(f"{origin}: two of the labels {', '.join(ids)} would have the same id in the API")
    known = {plane.id: plane for plane in PLANES}
    try:
        planes = {label: known.get(plane) or Plane(id=plane, label=_label(label)) for label, plane in ids.items()}
    except ValidationError as error:
        raise DataError(f"{origin}: a label gives no id for the API: {', '.join(ids)}") from error
    order = sorted(planes, key=lambda label: (ids[label] == "other", ids[label]))
    return tuple(planes[label] for label in order), {label: number for number, label in enumerate(order)}


def plane_id(label: str) -> str:
    """Return the id of a label in the API: `Trans-thalamic (TT)` gives `trans_thalamic_tt`."""
    letters = unicodedata.normalize("NFKD", label).encode("ascii", "ignore").decode().lower()
    return re.sub(r"^(?=\d)", "plane_", re.sub(r"[^a-z0-9]+", "_", letters).strip("_"))


def _label(name: str) -> str:
    return name if re.search(r"[A-Z ]", name) else name.replace("_", " ").capitalize()
