"""Frames of other organs, in sets: a table `manifest.csv` with the columns `Image_name` and `set`, and `Images/`."""

from pathlib import Path

from model_build.data.datasets import IGNORE_INDEX
from model_build.data.formats.csv_table import read_rows, require_files
from model_build.data.records import DataError, Record

_TABLE = "manifest.csv"


def read_other_organs(folder: Path | None) -> list[Record]:
    """Read the frames; each record has its set as `scanner` and no plane. Returns an empty list without a folder.

    Raises DataError where the table, a column or an image file is missing.
    """
    if folder is None:
        return []
    table = folder / _TABLE
    if not table.is_file():
        raise DataError(f"{table} is missing: the folder must hold {_TABLE} and Images/")
    records = [
        (row.line, Record(folder / "Images" / row.raw("Image_name"), name, IGNORE_INDEX, name, "train"))
        for row in read_rows(table, ("Image_name", "set"))
        for name in [row.text("set")]
    ]
    require_files(table, records)
    return [record for _, record in records]
