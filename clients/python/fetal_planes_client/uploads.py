"""Files to send."""

import os
from os import PathLike
from pathlib import Path
from typing import NamedTuple, Protocol


class FileObject(Protocol):
    """A file object that is open for reading bytes."""

    def read(self) -> bytes:
        """Return the bytes up to its end."""


File = str | PathLike[str] | bytes | FileObject
"""A file: its path, its bytes, or a file object that is open for reading bytes."""


class NamedUpload(NamedTuple):
    """A file with the name that its answers show instead of the last part of its path."""

    name: str
    file: File


Upload = File | NamedUpload


def upload_content(upload: Upload) -> bytes:
    """Return the bytes of a file. Raises `OSError` where it cannot be read."""
    file = upload.file if isinstance(upload, NamedUpload) else upload
    if isinstance(file, bytes):
        return file
    if isinstance(file, str | PathLike):
        return Path(file).read_bytes()
    content: object = file.read()
    if not isinstance(content, bytes):
        raise TypeError('open the file for reading bytes: open(path, "rb")')
    return content


def upload_name(number: int, upload: Upload) -> str:
    r"""Return the last part of the file's path, or its number where it has none; `\xNN` is a byte that is not UTF-8."""
    if isinstance(upload, NamedUpload):
        return upload.name
    path = upload if isinstance(upload, str | PathLike) else getattr(upload, "name", None)
    if not isinstance(path, str | PathLike):
        return str(number)
    return os.fsencode(Path(path).name).decode("utf-8", "backslashreplace")
