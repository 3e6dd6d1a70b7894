"""Finds the files in a multipart form (RFC 7578, RFC 2046)."""

import re
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from service.errors import MalformedRequest

MAX_PART_HEADERS = 16 * 1024  # bytes
_WINDOW = 2**20  # bytes
_MAX_NAME = 255
_MAX_PARAMETERS = 16  # of a Content-Disposition; a browser sends two

_PARAMETER = re.compile(
    rb""";[ \t]*(?P<name>[^=;"\s]+)[ \t]*=[ \t]*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<token>[^;"]*))"""
)
_EXTENDED = re.compile(rb"(?P<charset>utf-8|iso-8859-1)'[A-Za-z0-9-]*'(?P<value>.*)", re.IGNORECASE | re.DOTALL)
_FOLD = re.compile(rb"\r\n[ \t]+")


class Part(NamedTuple):
    """Where the content of a part lies in the body, and the name of its file."""

    content: slice
    name: str | None


def form_parts(body: bytes, boundary: bytes, field: str) -> Iterator[Part]:
    """Yield the parts of a form; each must be named `field`. What stands before and after the parts is ignored.

    `bytes.find` locates the boundaries. A parser that steps through the bytes would spend seconds on a body that
    consists of near-boundaries. Call it in a thread for a large body: it takes some 2 ms per MiB.

    Raises `MalformedRequest`.
    """
    opening = b"--" + boundary
    start = 0 if body.startswith(opening) else _find(body, b"\r\n" + opening, 0) + 2
    if not boundary or (start < 2 and not body.startswith(opening)):
        raise MalformedRequest("The multipart body does not contain its boundary.")
    at = start + len(opening)
    while not body.startswith(b"--", at):  # the final boundary ends with two hyphens
        line_end = body.find(b"\r\n", at, at + MAX_PART_HEADERS)
        headers_end = body.find(b"\r\n\r\n", at, at + MAX_PART_HEADERS)
        start = headers_end + 4
        end = _find(body, b"\r\n" + opening, start)
        if headers_end < 0 or end < 0 or body[at:line_end].strip(b" \t"):
            raise MalformedRequest("The multipart body is cut short.")
        disposition = _disposition(body[line_end:headers_end])
        if disposition.get(b"name") != field.encode():
            raise MalformedRequest(f"The form has a part that is not named `{field}`.")
        yield Part(slice(start, end), _file_name(disposition))
        at = end + len(b"\r\n" + opening)


def _find(body: bytes, wanted: bytes, start: int) -> int:
    """Return `body.find(wanted, start)`; between windows other threads may run, as `find` holds Python's lock."""
    for window in range(start, len(body), _WINDOW):
        if (found := body.find(wanted, window, window + _WINDOW + len(wanted) - 1)) >= 0:
            return found
    return -1


def _disposition(headers: bytes) -> dict[bytes, bytes]:
    """Return the parameters of a part's `Content-Disposition`, such as `name` and `filename`."""
    lines = (line.partition(b":") for line in _FOLD.sub(b" ", headers).split(b"\r\n"))
    values = (value for name, _, value in lines if name.strip().lower() == b"content-disposition")
    found = list(islice(_PARAMETER.finditer(next(values, b"")), _MAX_PARAMETERS + 1))
    if len(found) > _MAX_PARAMETERS:
        raise MalformedRequest(f"A part's Content-Disposition has more than {_MAX_PARAMETERS} parameters.")
    return {each["name"].lower(): _value(each) for each in found}


def _value(parameter: re.Match[bytes]) -> bytes:
    if parameter["quoted"] is None:
        return parameter["token"].strip(b" \t")
    # Browsers do not escape a backslash, so one before another character is a character of the name.
    return parameter["quoted"].replace(b"\\\\", b"\\").replace(b'\\"', b'"')


def _file_name(disposition: dict[bytes, bytes]) -> str | None:
    """Return the name of `filename*` (RFC 8187), else of `filename`."""
    extended = _EXTENDED.fullmatch(disposition.get(b"filename*", b""))
    if extended is not None:
        try:
            return unquote_to_bytes(extended["value"]).decode(extended["charset"].decode())[:_MAX_NAME]
        except UnicodeDecodeError:
            pass  # a value that does not fit its charset names nothing
    name = disposition.get(b"filename")
    return None if name is None else name.decode(errors="replace")[:_MAX_NAME]
