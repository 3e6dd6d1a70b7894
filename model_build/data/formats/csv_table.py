"""Read a table of labeled frames, as spreadsheets and scripts write them."""

import csv
import io
import re
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from model_build.data.formats.text_encoding import read_text
from model_build.data.records import DataError, Record, listing
from service.schemas.file_names import path_text

_DELIMITERS = {",": "','", ";": "';'", "\t": "tabs", "|": "'|'"}
_MAX_NAMED = 20  # rows in an error message
# Excel writes whole numbers of a column with gaps as 1.0, and long ones rounded, as 1.23457E+11.
_WHOLE = re.compile(r"([+-]?\d+)[.,]0+")
_ROUNDED = re.compile(r"[+-]?\d([.,]\d+)?[Ee]\+\d+")
_EXCEL_ERRORS = {"#N/A", "#NAME?", "#REF!", "#VALUE!", "#DIV/0!", "#NUM!", "#NULL!", "#GETTING_DATA", "#SPILL!"}


@dataclass(frozen=True)
class Row:
    """A row of a table: the line of the file that it starts on, and its values by column name in small letters."""

    line: int
    values: dict[str, str]

    def raw(self, column: str) -> str:
        """Return the value of a column exactly as it is written; empty where the table has no such column."""
        return self.values.get(_folded(column), "")

    def text(self, column: str) -> str:
        """Return a value without spaces around it, line breaks as spaces, `1.0` as `1`; raises ValueError if unusable.

        Unusable are errors of Excel's formulas and numbers that Excel has rounded.
        """
        value = " ".join(self.raw(column).split())
        if value.upper() in _EXCEL_ERRORS:
            raise ValueError(f"{column} is Excel's error {value}")
        if _ROUNDED.fullmatch(value):
            raise ValueError(
                f"{column} is {value}, which Excel has rounded; format the column as text and export again"
            )
        whole = _WHOLE.fullmatch(value)
        return whole[1] if whole else value

    def has(self, column: str) -> bool:
        """Return whether the table has a column."""
        return _folded(column) in self.values


class RowErrors:
    """Collects the reasons why rows of a table cannot be used, so that one message names them all."""

    def __init__(self, table: Path) -> None:
        self._table, self._reasons = table, list[tuple[int, str]]()

    def add(self, line: int, reason: object) -> None:
        """Note the reason why the row at a line cannot be used."""
        self._reasons.append((line, str(reason)))

    def raise_any(self) -> None:
        """Raise DataError where a reason was noted; the message names the file and the lines."""
        if not self._reasons:
            return
        if len(self._reasons) == 1:
            line, reason = self._reasons[0]
            raise DataError(f"{path_text(self._table)}, line {line}: {reason}")
        lines = [f"line {line}: {reason}" for line, reason in self._reasons]
        raise DataError(listing(f"{path_text(self._table)}: {len(lines)} rows cannot be used:", lines, _MAX_NAMED))


def read_rows(table: Path, columns: Sequence[str], encoding: str | None = None) -> list[Row]:
    """Return the rows of a table; empty rows and columns without a name are left out.

    Fields are separated by commas, semicolons, tabs or `|`, whichever gives the columns; Excel's line `sep=;` decides.
    Case and spaces of column names do not matter.

    Raises
    ------
    DataError
        The file has no rows or lacks one of `columns`, a quote is not closed, a row has more values than the header.
    """
    text = read_text(table, encoding).rstrip("\x1a")  # DOS programs end a file with Ctrl-Z
    stated = re.match(r'\s*"?sep=(.)"?[ \t]*(\r\n|\r|\n)', text, re.IGNORECASE)
    wanted, headers = {_folded(column) for column in columns}, dict[str, list[str]]()
    for delimiter in [stated[1]] if stated else _DELIMITERS:
        rows = _split(text, delimiter, int(bool(stated)))
        with suppress(_RowError):  # the quotes of a header fit one delimiter only
            names = [_folded(name) for name in next(rows, (0, []))[1]]
            headers[delimiter] = [name for name in names if name]
            if wanted <= set(names):
                break
    else:
        raise DataError(_lacking(path_text(table), columns, headers))
    try:
        return _named(rows, names, table)
    except _RowError as error:
        raise DataError(f"{path_text(table)}, {error}") from error


class _RowError(Exception):
    """A row is not CSV; the message has its line and the reason."""


def _lacking(table: str, columns: Sequence[str], headers: dict[str, list[str]]) -> str:
    if not any(headers.values()):
        return f"{table} has no rows"
    wanted = {_folded(column) for column in columns}
    delimiter = max(headers, key=lambda each: (len(wanted & set(headers[each])), len(headers[each])))
    missing = ", ".join(column for column in columns if _folded(column) not in headers[delimiter])
    return (
        f"{table} lacks the columns {missing}; it has {', '.join(headers[delimiter])}, where fields are separated by "
        f"{_DELIMITERS.get(delimiter, repr(delimiter))}"
    )


def _folded(name: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", name).replace("\ufeff", " ").split()).casefold()


def _split(text: str, delimiter: str, skip: int) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows that are not empty, each with the line that it starts on; `skip` lines are left out."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    line = 1
    try:
        for number, row in enumerate(reader):
            if number >= skip and any(value.strip() for value in row):
                yield line, row
            line = reader.line_num + 1
    except csv.Error as error:  # such as a quote that is not closed, which would swallow the rows after it
        raise _RowError(f"line {line}: the row is not CSV: {error}") from error


def _named(rows: Iterator[tuple[int, list[str]]], names: list[str], table: Path) -> list[Row]:
    repeated = sorted({name for name in names if name and names.count(name) > 1})
    if repeated:
        raise DataError(f"{path_text(table)} has two columns {', '.join(repeated)}")
    found, errors = [], RowErrors(table)
    for line, values in rows:
        if any(value.strip() for value in values[len(names) :]):
            errors.add(line, f"has {len(values)} values, the header has {len(names)}; quote values with a delimiter")
        padded = [*values, *[""] * (len(names) - len(values))]
        found.append(Row(line, {name: value for name, value in zip(names, padded, strict=False) if name}))
    errors.raise_any()
    if not found:
        raise DataError(f"{path_text(table)} has no rows")
    return found


def require_files(table: Path, records: Sequence[tuple[int, Record]]) -> None:
    """Raise DataError where the file of a record does not exist; each record comes with the line of its row."""
    errors = RowErrors(table)
    for line, record in records:
        if not record.path.is_file():
            errors.add(line, f"{path_text(record.path)} does not exist")
    errors.raise_any()
