"""Reads an upload into memory, never past its limit and never onto a disk."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header
from starlette.requests import Request

from service.errors import EmptyUpload, MalformedRequest, UploadTooLarge

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

FIELD = "file"

_MULTIPART = b"multipart/form-data"
_MULTIPART_OVERHEAD = 16 * 1024  # boundaries and headers of the one part that a form has

_BINARY = {"type": "string", "contentMediaType": "application/octet-stream"}
_FORM = {"type": "object", "required": [FIELD], "properties": {FIELD: _BINARY}, "additionalProperties": False}
BODY_IN_OPENAPI: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "One frame: PNG, JPEG, BMP, TIFF or WebP, told from its bytes. Either a form with the one part "
        f"`{FIELD}`, or the file itself as the body, whose content type does not matter.",
        "content": {"multipart/form-data": {"schema": _FORM}, "application/octet-stream": {"schema": {}}},
    }
}


async def read_upload(request: Request, max_bytes: int) -> bytes:
    """Read one frame's file, sent as the form field `file` or as the raw body.

    Raises
    ------
    UploadTooLarge
        It is longer than `max_bytes`: told from Content-Length before anything is read, else as soon as it is.
    MalformedRequest, EmptyUpload
        The form is broken, or holds something other than one part `file`; no bytes came.
    """
    kind, options = parse_options_header(request.headers.get("content-type"))
    form = kind == _MULTIPART
    most = max_bytes + _MULTIPART_OVERHEAD if form else max_bytes
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > most:
        raise _too_large(max_bytes)
    body = _bounded(request, most, max_bytes)
    upload = await _read_form(body, options.get(b"boundary", b"")) if form else b"".join([part async for part in body])
    if not upload:
        raise EmptyUpload("The upload is empty.")
    if len(upload) > max_bytes:
        raise _too_large(max_bytes)
    return upload


async def _bounded(request: Request, most: int, max_bytes: int) -> AsyncIterator[bytes]:
    read = 0
    async for chunk in request.stream():
        read += len(chunk)
        if read > most:
            raise _too_large(max_bytes)
        yield chunk


def _too_large(max_bytes: int) -> UploadTooLarge:
    # The rest of the upload is not read, so that the connection cannot serve another request.
    return UploadTooLarge(f"The upload is longer than the limit of {max_bytes} bytes.", headers={"Connection": "close"})


async def _read_form(body: AsyncIterator[bytes], boundary: bytes) -> bytes:
    if not boundary:
        raise MalformedRequest("The multipart body has no boundary.")
    form = _OneFile()
    try:
        parser = MultipartParser(boundary, form.callbacks())
        async for chunk in body:
            parser.write(chunk)
        parser.finalize()
    except FormParserError as error:
        raise MalformedRequest("The multipart body is broken.") from error
    return form.result()


class _OneFile:
    """Takes the events of a multipart parser, and keeps the one part that is wanted."""

    def __init__(self) -> None:
        self._parts = 0
        self._ended = False
        self._header = bytearray()
        self._value = bytearray()
        self._disposition = b""
        self._content = bytearray()

    def callbacks(self) -> "MultipartCallbacks":
        return {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._header.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
            "on_header_end": self._end_header,
            "on_headers_finished": self._check_name,
            "on_part_data": lambda data, start, end: self._content.extend(data[start:end]),
            "on_end": self._end,
        }

    def result(self) -> bytes:
        if not self._ended:
            raise MalformedRequest("The multipart body is cut short.")
        if not self._parts:
            raise MalformedRequest(f"The form has no part {FIELD!r}.")
        return bytes(self._content)

    def _begin(self) -> None:
        self._parts += 1
        if self._parts > 1:
            raise MalformedRequest(f"The form has more than the one part {FIELD!r}.")

    def _end_header(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = bytes(self._value)
        self._header.clear()
        self._value.clear()

    def _check_name(self) -> None:
        _, options = parse_options_header(self._disposition)
        if options.get(b"name") != FIELD.encode():
            raise MalformedRequest(f"The form's part is not named {FIELD!r}.")

    def _end(self) -> None:
        self._ended = True
