"""A session of DuckDB with a limit on memory, that never uses the network."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray

from service.jobs import JobError

Value = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Session:
    """A connection, and a folder for what does not fit into the memory; both end with the audit."""

    connection: duckdb.DuckDBPyConnection
    folder: Path

    def run(self, sql: str, *values: Value | Sequence[Value]) -> None:
        """Execute a statement; raises `JobError` where a file or the disk fails."""
        try:
            self.connection.execute(sql, list(values))
        except (duckdb.IOException, duckdb.InvalidInputException, duckdb.OutOfMemoryException) as error:
            raise JobError(_first_line(error)) from error

    def rows(self, sql: str, *values: Value | Sequence[Value]) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""
        self.run(sql, *values)
        return self.connection.fetchall()

    def count(self, sql: str) -> int:
        """Return the only value of a query, a number."""
        ((found,),) = self.rows(sql)
        return int(found)

    def arrays(self, sql: str) -> dict[str, NDArray[Any]]:
        """Return each column of a query; a missing number is NaN, a missing text None."""
        self.run(sql)
        return {name: _plain(column) for name, column in self.connection.fetchnumpy().items()}


def _plain(column: NDArray[Any]) -> NDArray[Any]:
    if column.dtype.kind in "OU":
        texts = np.array(np.ma.getdata(column), dtype=object)
        texts[np.ma.getmaskarray(column)] = None
        return texts
    if isinstance(column, np.ma.MaskedArray):
        return np.ma.filled(column.astype(np.float64), np.nan)
    return column


@contextmanager
def open_session(folder: Path, memory_mib: int, threads: int) -> Iterator[Session]:
    """Open a session whose files are in a new folder below `folder`, which is deleted at the end."""
    with TemporaryDirectory(dir=folder, prefix=".audit-") as name:
        scratch = Path(name)
        config = {
            "threads": str(threads),
            "memory_limit": f"{memory_mib}MiB",
            "temp_directory": str(scratch / "spill"),
            "extension_directory": str(scratch / "extensions"),
            "home_directory": str(scratch),
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "preserve_insertion_order": "false",
        }
        connection = duckdb.connect(str(scratch / "audit.duckdb"), config=config)  # type: ignore[arg-type]
        try:
            yield Session(connection, scratch)
        finally:
            connection.close()


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


def text(value: str) -> str:
    """Return a text as a literal of SQL."""
    return "'" + value.replace("'", "''") + "'"


def name(value: str) -> str:
    """Return a name as an identifier of SQL."""
    return '"' + value.replace('"', '""') + '"'
