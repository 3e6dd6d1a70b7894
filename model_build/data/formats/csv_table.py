"""Read a CSV table of labeled frames."""

import csv
from collections.abc import Sequence
from pathlib import Path

from model_build.data.records import DataError, Record


def read_rows(table: Path, columns: Sequence[str], delimiter: str) -> list[dict[str, str]]:
    """Return the rows of a CSV file, with spaces stripped from names and values.

    Raises DataError where the file has no rows or lacks one of `columns`.
    """
    with table.open(newline="", encoding="utf-8-sig") as lines:
        rows = [
            {(name or "").strip(): value.strip() for name, value in row.items() if isinstance(value, str)}
            for row in csv.DictReader(lines, restval="", delimiter=delimiter)
        ]
    if not rows:
        raise DataError(f"{table} has no rows")
    missing = [name for name in columns if name not in rows[0]]
    if missing:
        raise DataError(f"{table} lacks the columns {', '.join(missing)}; fields are separated by '{delimiter}'")
    return rows


def require_files(records: Sequence[Record]) -> None:
    """Raise DataError where the file of a record does not exist."""
    missing = [record.path for record in records if not record.path.is_file()]
    if missing:
        raise DataError(f"{missing[0].parent} lacks {len(missing)} of {len(records)} images, such as {missing[0].name}")
