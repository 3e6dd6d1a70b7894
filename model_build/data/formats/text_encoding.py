"""Turn the bytes of a table or a TOML file into text, or refuse them: a wrong guess would change labels silently."""

import codecs
from pathlib import Path

from model_build.data.records import DataError
from service.schemas.file_names import path_text

# UTF-32 first: its mark begins with the one of UTF-16.
_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
# Where the zero bytes of two ASCII letters are; every header starts with letters.
_ZEROS = {"000x000x": "utf-32-be", "x000x000": "utf-32-le", "0x0x": "utf-16-be", "x0x0": "utf-16-le"}
_DOCUMENTS = {
    b"PK\x03\x04": "an Excel workbook or another ZIP file",
    b"\xd0\xcf\x11\xe0": "an Excel workbook (.xls)",
    b"%PDF": "a PDF",
    b"\x1f\x8b": "a gzip file",
}


def read_text(file: Path, encoding: str | None = None) -> str:
    """Return the text of a file: UTF-8, or what its byte order mark, the stated encoding or its zero bytes say.

    Windows-1252, Excel's `CSV`, is never guessed: Polish, Cyrillic and Chinese bytes are valid Windows-1252, too, and
    would give other labels.

    Raises
    ------
    DataError
        The bytes are of another encoding, or not text; the message names the file and the line.
    """
    try:
        data = file.read_bytes()
    except OSError as error:
        raise DataError(f"{path_text(file)} cannot be read: {error.strerror}") from error
    document = next((name for start, name in _DOCUMENTS.items() if data.startswith(start)), None)
    if document:
        raise DataError(f'{path_text(file)} is {document}, not text; save the table as "CSV UTF-8"')
    marked = next((name for mark, name in _MARKS.items() if data.startswith(mark)), None)
    codec = marked or encoding or _by_zeros(data) or "utf-8"
    try:
        return data.decode(codec).lstrip("\ufeff")
    except LookupError as error:
        raise DataError(f"{path_text(file)}: encoding {codec!r} is not known; use a name such as cp1252") from error
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{path_text(file)}, line {line}: the bytes are not {codec.upper()}; save the file as UTF-8 "
            '("CSV UTF-8" in Excel), or state the encoding of a table in dataset.toml, such as encoding = "cp1252" for '
            '"CSV" of Excel in Western Europe and America'
        ) from error


def _by_zeros(data: bytes) -> str | None:
    start = "".join("x" if byte else "0" for byte in data[:8])
    return next((codec for zeros, codec in _ZEROS.items() if start.startswith(zeros)), None)
