"""The tables of an audit, and their files: CSV for people, Parquet and JSON for programs."""

import csv
import io
import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, NamedTuple, cast

import numpy as np

from service.audit.data.session import Session, name, text
from service.jobs.outputs import whole_file, write_whole
from service.reports.cells import plain_cells

Kind = Literal["text", "integer", "number", "boolean"]
Value = str | int | float | bool | None

_SQL = {"text": "VARCHAR", "integer": "BIGINT", "number": "DOUBLE", "boolean": "BOOLEAN"}


class Column(NamedTuple):
    """A column: its name, the kind of its values, and what it says."""

    name: str
    kind: Kind
    description: str


class Table(NamedTuple):
    """A table: the name of its files, what a row is, its columns and rows."""

    name: str
    about: str
    columns: tuple[Column, ...]
    rows: list[tuple[Value, ...]]

    def records(self) -> list[dict[str, Value]]:
        """Return the rows as objects of JSON; what is not finite is null."""
        names = [column.name for column in self.columns]
        return [dict(zip(names, map(_plain, row), strict=True)) for row in self.rows]


def _plain(value: Value | np.generic) -> Value:
    if isinstance(value, np.generic):
        value = cast(Value, value.item())
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_tables(session: Session, tables: Iterable[Table], folder: Path) -> None:
    """Write each table as CSV and as Parquet, each file whole or not at all; raises `OSError`."""
    folder.mkdir(parents=True, exist_ok=True)
    for table in tables:
        records = table.records()
        _write_csv(table, records, folder / f"{table.name}.csv")
        _write_parquet(session, table, records, folder / f"{table.name}.parquet")


def _write_csv(table: Table, records: list[dict[str, Value]], path: Path) -> None:
    lines = io.StringIO(newline="")
    writer = csv.DictWriter(lines, [column.name for column in table.columns])
    writer.writeheader()
    for record in records:
        writer.writerow({key: _cell(value) for key, value in plain_cells(record).items()})
    write_whole(path, lines.getvalue().encode())


def _cell(value: Value) -> Value:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.6g}"
    return value


def _write_parquet(session: Session, table: Table, records: list[dict[str, Value]], path: Path) -> None:
    source, copy = session.folder / f"{table.name}.jsonl", session.folder / f"{table.name}.parquet"
    source.write_text("".join(json.dumps(record) + "\n" for record in records))
    columns = ", ".join(f"{name(column.name)}: {text(_SQL[column.kind])}" for column in table.columns)
    session.run(
        f"""COPY (SELECT * FROM read_json({text(str(source))}, format = 'newline_delimited', columns = {{{columns}}}))
            TO {text(str(copy))} (FORMAT parquet)"""  # noqa: S608 (quoted by `name` and `text`)
    )
    with whole_file(path) as file:
        file.write(copy.read_bytes())
    source.unlink()
    copy.unlink()
