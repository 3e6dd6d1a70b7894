"""Find the files of an audit below its sources, and tell by their contents what each is."""

import gzip
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from service.jobs import JobError
from service.jobs.journal import ROWS
from service.jobs.tables.frames_csv import COLUMNS

_MAGIC_PARQUET, _MAGIC_GZIP = b"PAR1", b"\x1f\x8b"
_START = 1 << 16
_STORE_SCHEMES = ("sqlite:", "postgresql:", "postgresql+")


@dataclass(frozen=True, slots=True)
class Sources:
    """The files of an audit, each with the number of the source that it comes from; databases by their URLs."""

    tables: list[tuple[int, Path]] = field(default_factory=list)  # Parquet, of `table`
    rows: list[tuple[int, Path]] = field(default_factory=list)  # JSON lines, of `process`
    corrections: list[Path] = field(default_factory=list)  # CSV, JSON or JSON lines, of `GET /corrections`
    stores: list[str] = field(default_factory=list)


def find_sources(names: list[str]) -> Sources:
    """Return what the sources hold: files, folders with everything below them, and databases of corrections.

    Raises `JobError` for a source that is missing, that holds nothing to audit, or that is a file of another kind.
    """
    found = Sources()
    seen: set[Path] = set()
    for number, name in enumerate(names):
        if name.startswith(_STORE_SCHEMES):
            found.stores.append(name)
            continue
        path = Path(name).resolve()
        if not path.exists():
            raise JobError(f"{name} does not exist")
        before = len(seen)
        for file in _files(path):
            if file not in seen and _add(found, number, file, named=file == path):
                seen.add(file)
        if len(seen) == before and path.is_dir():
            raise JobError(f"{name} holds no results of `table` or `process`, and no corrections")
    return found


def _files(path: Path) -> Iterator[Path]:
    """Yield a file, or the files below a folder whose names do not begin with `_` or a dot."""
    if not path.is_dir():
        yield path
        return
    try:
        entries = sorted(path.iterdir())
    except OSError as error:
        raise JobError(f"{path} cannot be listed: {error.strerror}") from error
    for entry in entries:
        if not entry.name.startswith(("_", ".")) and not (entry.is_symlink() and entry.is_dir()):
            yield from _files(entry)


def _add(found: Sources, number: int, path: Path, *, named: bool) -> bool:
    """Add a file by its kind; a file of another kind is an error where it is `named`, else it is left out."""
    try:
        kind = _kind(path)
    except (OSError, EOFError, zlib.error) as error:
        raise JobError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if kind == "table":
        found.tables.append((number, path))
    elif kind == "rows":
        found.rows.append((number, path))
    elif kind == "corrections":
        found.corrections.append(path)
    elif named:
        raise JobError(f"{path} is {kind}; give Parquet of `table`, {ROWS} of `process`, or corrections")
    return kind in ("table", "rows", "corrections")


def _kind(path: Path) -> str:
    with open_plain(path) as file:
        start = file.read(_START)
    if start.startswith(_MAGIC_PARQUET):
        return "table"
    if not start.strip():
        return "empty"
    first = start.lstrip(b"\xef\xbb\xbf").partition(b"\n")[0].decode("utf-8", "replace")
    if first.lstrip().startswith(("{", "[")):
        return _json_kind(first, start)
    columns = set(first.strip().split(","))
    if {"digest", "verdict"} <= columns:
        return "corrections"
    if set(COLUMNS[:4]) <= columns:
        return f"the CSV of `process`, which repeats {ROWS}"
    return "of no kind that an audit reads"


def _json_kind(first: str, start: bytes) -> str:
    try:
        document = json.loads(first)
    except ValueError:
        # One long line, a document over several lines, or a damaged first row: its names tell.
        if b'"verdict"' in start:
            return "corrections"
        return "rows" if b'"file"' in start and b'"frame"' in start and b'"answer"' in start else "another JSON"
    if isinstance(document, dict) and {"file", "frame", "answer"} <= document.keys():
        return "rows"
    return "corrections" if '"verdict"' in first else "another JSON"


def open_plain(path: Path) -> BinaryIO:
    """Open a file for reading, decompressed where it is gzip."""
    return gzip.open(path, "rb") if is_gzip(path) else path.open("rb")  # type: ignore[return-value]


def is_gzip(path: Path) -> bool:
    """Return whether a file is compressed by gzip, whatever its name."""
    with path.open("rb") as file:
        return file.read(2) == _MAGIC_GZIP
