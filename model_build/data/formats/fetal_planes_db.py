"""FETAL_PLANES_DB as published (Burgos-Artizzu et al. 2020, Zenodo 3904280): a table and a folder `Images`."""

from pathlib import Path

from model_build.data.formats.csv_table import Row, RowErrors, read_rows, require_files
from model_build.data.labels import PLANES, SUB_PLANES
from model_build.data.records import DataError, DatasetIndex, Record, Source
from service.schemas.file_names import path_text

TABLE = "FETAL_PLANES_DB_data.csv"

_COLUMNS = ("Image_name", "Patient_num", "Plane", "US_Machine", "Train")
# Scanner and operator of the frames of Other that show an adult's carotid artery through a linear probe. The table does
# not say so. All 57 frames of Other in the subset of 1,707 were looked at: the rule finds the 23 carotid arteries and
# nothing else. It was not checked on the full data set.
_CAROTID = ("Aloka", "Other")
_PUBLISHED_FRAMES = 12_400
_CITATION = "Burgos-Artizzu et al., Sci Rep 10:10200 (2020), doi 10.1038/s41598-020-67076-5; Zenodo 3904280"
_PLANE_NUMBERS = {plane.label: number for number, plane in enumerate(PLANES)}
# "Other" is a brain plane that is none of the three standard ones.
_SUB_PLANE_NUMBERS: dict[str, int | None] = {plane.label: number for number, plane in enumerate(SUB_PLANES)}
_SUB_PLANE_NUMBERS |= {"Other": None, "Not A Brain": None}


def read_fetal_planes_db(folder: Path) -> DatasetIndex:
    """Read the data set; raises what `read_records` raises."""
    records = read_records(folder)
    subset = "" if len(records) == _PUBLISHED_FRAMES else f", the subset of {len(records):,} frames"
    source = Source(f"FETAL_PLANES_DB{subset}", "CC BY 4.0", _CITATION)
    return DatasetIndex(folder, PLANES, records, source, published=True)


def read_stretched(folder: Path | None) -> list[Record]:
    """Read a folder of stretched frames; returns an empty list without a folder."""
    return read_records(folder, stretched=True) if folder else []


def read_records(folder: Path, *, stretched: bool = False) -> list[Record]:
    """Read a table in the layout of FETAL_PLANES_DB; every record gets `stretched`.

    `Brain_plane` is optional. Raises DataError where the table, a column or an image file is missing, or a value is
    unknown.
    """
    table = folder / TABLE
    if not table.is_file():
        raise DataError(f"{path_text(table)} is missing: the folder must hold {TABLE} and Images/")
    records, errors = list[tuple[int, Record]](), RowErrors(table)
    for row in read_rows(table, _COLUMNS):
        try:
            records.append((row.line, _record(row, folder / "Images", stretched=stretched)))
        except ValueError as error:
            errors.add(row.line, error)
    errors.raise_any()
    require_files(table, records)
    return [record for _, record in records]


def _record(row: Row, images: Path, *, stretched: bool) -> Record:
    """Return the record of a row; raises ValueError where a value is unknown."""
    plane, train = row.text("Plane"), row.text("Train")
    brain_plane = row.text("Brain_plane") if row.has("Brain_plane") else "Not A Brain"
    if plane not in _PLANE_NUMBERS:
        raise ValueError(f"plane {plane!r} is none of {', '.join(_PLANE_NUMBERS)}")
    if train not in ("0", "1"):
        raise ValueError(f"Train is {train!r}; 1 is train, 0 is test")
    if brain_plane not in _SUB_PLANE_NUMBERS:
        raise ValueError(f"Brain_plane {brain_plane!r} is none of {', '.join(_SUB_PLANE_NUMBERS)}")
    return Record(
        path=images / f"{row.raw('Image_name').strip()}.png",
        patient=row.text("Patient_num"),
        plane=_PLANE_NUMBERS[plane],
        scanner=row.text("US_Machine"),
        split="train" if train == "1" else "test",
        sub_plane=_SUB_PLANE_NUMBERS[brain_plane],
        stretched=stretched,
        group=_group(row) if plane == "Other" and row.has("Operator") else None,
    )


def _group(row: Row) -> str:
    """Return what a frame of Other shows."""
    return "adult carotid artery" if (row.text("US_Machine"), row.text("Operator")) == _CAROTID else "fetal"
