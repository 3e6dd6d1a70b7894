r"""A file's name as text: the one form that every output shows (JSON, CSV, Parquet, HTML, standard error).

A name is bytes; it need not be UTF-8, and the locale says nothing about it. Most names are shown as they are. In the
others

- a byte that is not UTF-8, and a control character of ASCII, becomes `\xNN`;
- any other control character, a line separator, and a mark that changes the direction of text becomes `\uNNNN`;
- a backslash becomes two, so that different names have different texts.
"""

import os
import re
from pathlib import PurePath

# C0 and C1 controls, marks of direction, separators, the byte order mark, and bytes that are not UTF-8 (PEP 383).
_UNPRINTABLE = r"\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff"
_IN_MESSAGE = re.compile(f"[{_UNPRINTABLE}]")
_IN_NAME = re.compile(rf"[\\{_UNPRINTABLE}]")
_ESCAPE = re.compile(r"\\(?:x([0-9a-f]{2})|u([0-9a-f]{4})|\\)")


def name_text(name: bytes) -> str:
    """Return the text of a name, or of a path with `/` between its folders."""
    return _IN_NAME.sub(_escape, name.decode("utf-8", "surrogateescape"))


def name_bytes(text: str) -> bytes:
    """Return the name that `name_text` was given."""
    return _ESCAPE.sub(_unescape, text).encode("utf-8", "surrogateescape")


def path_text(path: str | os.PathLike[str]) -> str:
    """Return the text of a path on this machine."""
    return name_text(os.fsencode(PurePath(path).as_posix()))


def local_path(text: str) -> str:
    """Return the path that `path_text` was given, with `/` between its folders."""
    return os.fsdecode(name_bytes(text))


def printable(message: str) -> str:
    """Return a message that may quote a path, in one line and without bytes that are not UTF-8."""
    return _IN_MESSAGE.sub(_escape, message)


def _escape(found: re.Match[str]) -> str:
    character = ord(found[0])
    if found[0] == "\\":
        return "\\\\"
    if 0xDC80 <= character <= 0xDCFF:
        return f"\\x{character - 0xDC00:02x}"
    return f"\\x{character:02x}" if character < 0x80 else f"\\u{character:04x}"


def _unescape(found: re.Match[str]) -> str:
    byte, character = found[1], found[2]
    if byte is not None:
        return chr(int(byte, 16) if int(byte, 16) < 0x80 else 0xDC00 + int(byte, 16))
    return chr(int(character, 16)) if character is not None else "\\"
