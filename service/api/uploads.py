"""Reads an upload into memory, never past its limit and never onto a disk."""

import io
from collections.abc import AsyncIterator
from typing import Any

from python_multipart.multipart import parse_options_header
from starlette.requests import Request

from service.errors import EmptyUpload, MalformedRequest, UploadTooLarge

FIELD = "file"

_MULTIPART = b"multipart/form-data"
MULTIPART_OVERHEAD = 16 * 1024  # boundaries and headers of the one part that a form has
# An upload that is longer than the limit by no more than this is read, and dropped, before it is refused. A proxy that
# lets the limit pass and a form around it (deploy/nginx: 1 MiB more) may else be hung up on while it still writes, and
# then takes the service for dead.
_LITTLE = 2**20

_BINARY = {"type": "string", "contentMediaType": "application/octet-stream"}
_FORM = {"type": "object", "required": [FIELD], "properties": {FIELD: _BINARY}, "additionalProperties": False}
BODY_IN_OPENAPI: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "One frame: PNG, JPEG, BMP, TIFF, WebP or DICOM, told from its bytes. Either a form with the "
        f"one part `{FIELD}`, or the file itself as the body, whose content type does not matter.",
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
    boundary = form_boundary(request)
    most = max_bytes if boundary is None else max_bytes + MULTIPART_OVERHEAD
    body = await read_body(request, most, max_bytes)
    upload = body if boundary is None else _only_file(body, boundary)
    if not upload:
        raise EmptyUpload("The upload is empty.")
    if len(upload) > max_bytes:
        raise _too_large(max_bytes)
    return upload


def form_boundary(request: Request) -> bytes | None:
    """What separates the parts of the form that the body is; empty where it does not say, None where it is no form."""
    kind, options = parse_options_header(request.headers.get("content-type"))
    return options.get(b"boundary", b"") if kind == _MULTIPART else None


async def read_body(request: Request, most: int, max_bytes: int) -> bytes:
    """Read a body of at most `most` bytes; raises `UploadTooLarge`, which names the limit `max_bytes`."""
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > most:
        if int(length) <= most + _LITTLE:
            async for _ in request.stream():
                pass
        raise _too_large(max_bytes)
    body = io.BytesIO()  # grows in place and gives away its buffer: joining chunks would hold a long upload twice
    async for chunk in _bounded(request, most, max_bytes):
        body.write(chunk)
    return body.getvalue()


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


def _only_file(body: bytes, boundary: bytes) -> bytes:
    """The content of the one part that a form has (RFC 7578).

    Searched for, not parsed byte by byte: a body made of near-boundaries would keep a state machine busy for seconds.
    """
    opening, closing = b"--" + boundary + b"\r\n", b"\r\n--" + boundary
    if not boundary or not body.startswith(opening):
        raise MalformedRequest("The multipart body does not begin with its boundary.")
    headers_end = body.find(b"\r\n\r\n", len(opening) - 2, len(opening) + MULTIPART_OVERHEAD)
    start = headers_end + 4
    end = body.find(closing, start)
    if headers_end < 0 or end < 0:
        raise MalformedRequest("The multipart body is cut short.")
    if part_disposition(body[len(opening) : headers_end]).get(b"name") != FIELD.encode():
        raise MalformedRequest(f"The form's part is not named {FIELD!r}.")
    if not body.startswith(b"--", end + len(closing)):
        raise MalformedRequest(f"The form has more than the one part {FIELD!r}.")
    return body[start:end]


def part_disposition(headers: bytes) -> dict[bytes, bytes]:
    """The parameters of a part's `Content-Disposition`, such as `name` and `filename`."""
    for header in headers.split(b"\r\n"):
        name, _, value = header.partition(b":")
        if name.strip().lower() == b"content-disposition":
            return parse_options_header(value.strip())[1]
    return {}
