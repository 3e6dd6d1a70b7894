"""FETAL_PLANES_DB as published (Burgos-Artizzu et al. 2020, Zenodo 3904280): a table and a folder `Images`."""

from pathlib import Path

from model_build.data.formats.csv_table import read_rows, require_files
from model_build.data.labels import PLANES, SUB_PLANES
from model_build.data.records import DataError, DatasetIndex, Record, Source

TABLE = "FETAL_PLANES_DB_data.csv"

_COLUMNS = ("Image_name", "Patient_num", "Plane", "US_Machine", "Train")
_PUBLISHED_FRAMES = 12_400
_PLANE_NUMBERS = {plane.label: number for number, plane in enumerate(PLANES)}
_SUB_PLANE_NUMBERS: dict[str, int | None] = {
    **{plane.label: number for number, plane in enumerate(SUB_PLANES)},
    "Other": None,  # a brain plane that is none of the three standard ones
    "Not A Brain": None,
}


def read_fetal_planes_db(folder: Path) -> DatasetIndex:
    """Read the data set; raises what `read_records` raises."""
    records = read_records(folder)
    subset = "" if len(records) == _PUBLISHED_FRAMES else f", the subset of {len(records):,} frames"
    source = Source(
        f"FETAL_PLANES_DB{subset}",
        "CC BY 4.0",
        "Burgos-Artizzu et al., Sci Rep 10:10200 (2020), doi 10.1038/s41598-020-67076-5; Zenodo 3904280",
    )
    return DatasetIndex(folder, PLANES, records, source)


def read_stretched(folder: Path | None) -> list[Record]:
    """Read a folder of stretched frames; returns an empty list without a folder."""
    return read_records(folder, stretched=True) if folder else []


def read_records(folder: Path, *, stretched: bool = False) -> list[Record]:
    """Read the table of a data set in the layout of FETAL_PLANES_DB.

    Semicolons separate the fields. The last column's name and values end in a space. `Brain_plane` is optional.

    Parameters
    ----------
    stretched
        The value of `Record.stretched` for every frame.

    Raises
    ------
    DataError
        The table, a column or an image file is missing, or a value is unknown.
    """
    table = folder / TABLE
    if not table.is_file():
        raise DataError(f"{table} is missing: the folder must hold {TABLE} and Images/")
    rows = read_rows(table, _COLUMNS, ";")
    records = [_record(table, line, row, stretched) for line, row in enumerate(rows, start=2)]
    require_files(records)
    return records


def _record(table: Path, line: int, row: dict[str, str], stretched: bool) -> Record:
    if row["Plane"] not in _PLANE_NUMBERS:
        raise DataError(f"{table}, line {line}: plane {row['Plane']!r} is none of {', '.join(_PLANE_NUMBERS)}")
    if row["Train"] not in ("0", "1"):
        raise DataError(f"{table}, line {line}: Train is {row['Train']!r}; 1 is train, 0 is test")
    brain_plane = row.get("Brain_plane", "Not A Brain")
    if brain_plane not in _SUB_PLANE_NUMBERS:
        raise DataError(f"{table}, line {line}: Brain_plane {brain_plane!r} is none of {', '.join(_SUB_PLANE_NUMBERS)}")
    return Record(
        path=table.parent / "Images" / f"{row['Image_name']}.png",
        patient=row["Patient_num"],
        plane=_PLANE_NUMBERS[row["Plane"]],
        scanner=row["US_Machine"],
        split="train" if row["Train"] == "1" else "test",
        sub_plane=_SUB_PLANE_NUMBERS[brain_plane],
        stretched=stretched,
    )
