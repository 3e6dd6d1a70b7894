"""Find the file that a table names: tables come from other computers, with other slashes, capitals and encodings."""

import os
import re
import unicodedata
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

from service.schemas.file_names import path_text

_ELSEWHERE = re.compile(r"[A-Za-z]:[\\/]|\\\\|[A-Za-z][A-Za-z0-9+.-]+://")


class TablePaths:
    """Finds files relative to the folder of a table.

    A path is taken as written, first in UTF-8, then in Windows-1252; then with backslashes as slashes; at last without
    regard to case and to Unicode normalization, as Windows and macOS compare names.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._entries = cache(_entries)

    def find(self, written: str) -> Path:
        """Return the file of a path of the table; raises ValueError, with the reason, where there is none."""
        if not written.strip():
            raise ValueError("no path")
        for text in dict.fromkeys((written, written.strip(), written.strip().replace("\\", "/"))):
            for name in _file_names(text):
                if _is_file(self._folder / name):
                    return self._folder / name
        found = self._like(written.strip().replace("\\", "/"))
        if len(found) > 1:
            raise ValueError(f"{written.strip()} could be {' or '.join(path_text(path.name) for path in found)}")
        if found:
            return found[0]
        if _ELSEWHERE.match(written.strip()):
            raise ValueError(f"{written.strip()} is a path of another computer; write it relative to the table")
        reason = (
            "is a folder, not a file" if _is_folder(self._folder / _utf8_name(written.strip())) else "does not exist"
        )
        raise ValueError(f"{written.strip()} {reason}")

    def _like(self, text: str) -> list[Path]:
        """Return the files whose path equals `text` but for case and normalization."""
        folders = [Path("/") if text.startswith("/") else self._folder]
        for part in filter(None, text.split("/")):
            if part in (".", ".."):
                folders = [folder / part for folder in folders]
            else:
                folders = [path for folder in folders for path in self._entries(folder).get(_folded(part), [])]
        return [path for path in folders if _is_file(path)]


def _entries(folder: Path) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    with suppress(OSError):  # not a folder, or not readable: nothing is found there
        for path in sorted(folder.iterdir()):
            found.setdefault(_folded(path_text(path.name)), []).append(path)
    return found


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _file_names(text: str) -> Iterator[str]:
    """Yield the names that Python gives files with these bytes, whatever the locale is."""
    yield _utf8_name(text)
    if not text.isascii():
        try:
            yield os.fsdecode(text.encode("cp1252"))
        except UnicodeEncodeError:
            return


def _utf8_name(text: str) -> str:
    return os.fsdecode(text.encode("utf-8", "surrogateescape"))


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # such as a name that is too long
        return False


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        return False
