"""A user's own data as a table with one row per file."""

import os
from contextlib import suppress
from pathlib import Path

from model_build.data.formats.csv_table import Row, RowErrors, read_rows
from model_build.data.formats.own_data.dataset_toml import read_statements
from model_build.data.formats.own_data.folder_files import count_frames
from model_build.data.formats.own_data.index import LabeledFile, OwnData, build_index
from model_build.data.formats.own_data.plane_ids import clean_label
from model_build.data.formats.own_data.split_names import SPLIT_NAMES, split_of
from model_build.data.formats.table_paths import TablePaths
from model_build.data.labels import SUB_PLANES
from model_build.data.records import DataError, DatasetIndex, SplitName
from service.errors import Problem
from service.schemas.file_names import path_text

_TABLES = ("labels.csv", "labels.tsv", "labels.txt")
_WORKBOOKS = ("labels.xlsx", "labels.xlsm", "labels.xls", "labels.ods")


def find_labels_table(folder: Path) -> Path | None:
    """Return the table of a folder, in any case; None where it has none.

    Raises DataError where there are two, or only a workbook.
    """
    names: dict[str, list[Path]] = {name: [] for name in (*_TABLES, *_WORKBOOKS)}
    for path in sorted(folder.iterdir()):
        names.get(path.name.casefold(), []).append(path)
    tables = [path for name in _TABLES for path in names[name]]
    if len(tables) > 1:
        raise DataError(
            f"{path_text(folder)} has {' and '.join(path.name for path in tables)}; name one as the data set"
        )
    if not tables and (workbooks := [path for name in _WORKBOOKS for path in names[name]]):
        raise DataError(f'{path_text(workbooks[0])} is a workbook; save its sheet as labels.csv, "CSV UTF-8"')
    return tables[0] if tables else None


def read_labels_table(table: Path) -> DatasetIndex:
    """Read a table with the columns `path`, `label` and, optionally, `patient`, `scanner` and `split`.

    The page's table of corrections calls the scanner `machine`, and has a column `sub_plane`.

    Raises DataError, which names the file and the lines, where rows cannot be used.
    """
    statements = read_statements(table.parent)
    rows = read_rows(table, ("path", "label"), statements.encoding)
    paths, errors, files = TablePaths(table.parent), RowErrors(table), list[LabeledFile]()
    line_of: dict[str, int] = {}
    for row in rows:
        try:
            file = _labeled_file(row, paths)
        except ValueError as error:
            errors.add(row.line, error)
            continue
        first = line_of.setdefault(os.path.normpath(file.path), row.line)
        if first != row.line:
            errors.add(
                row.line, f"{path_text(row.raw('path').strip())} is on line {first} already; keep one of the rows"
            )
        files.append(file)
    errors.raise_any()
    return build_index(OwnData(table.parent, path_text(table), files, statements, rows[0].has("patient")))


def _labeled_file(row: Row, paths: TablePaths) -> LabeledFile:
    """Return the file of a row; raises ValueError, with the reason, where the row cannot be used."""
    label, patient = clean_label(row.text("label")), row.text("patient")
    if not label:
        raise ValueError("no label")
    if not patient and row.has("patient"):
        raise ValueError("no patient; remove the column if patients are not known")
    split, path, frames = _split(row), paths.find(row.raw("path")), 1
    with suppress(Problem):  # a file without a picture is refused by name when it is decoded
        frames = count_frames(path)
    scanner = row.text("scanner") or row.text("machine") or "unknown"
    return LabeledFile(path, label, patient or os.path.normpath(path), frames, split, scanner, _sub_plane(row))


def _sub_plane(row: Row) -> int | None:
    """Return the number of the sub-plane that a row states by its id or label; None where it states none."""
    stated = row.text("sub_plane")
    if not stated:
        return None
    for number, each in enumerate(SUB_PLANES):
        if stated.casefold() in (each.id, each.label.casefold()):
            return number
    known = ", ".join(each.id for each in SUB_PLANES)
    raise ValueError(f"sub_plane is {stated!r}; only {known} can be trained: leave it empty, or remove the column")


def _split(row: Row) -> SplitName | None:
    if not row.has("split"):
        return None
    split = split_of(row.text("split"))
    if split is None:
        raise ValueError(f"split is {row.text('split')!r}; it must be {SPLIT_NAMES}")
    return split
