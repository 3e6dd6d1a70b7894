"""Reads an upload of many files into memory, as one body; each file is cut out of it when its turn comes."""

from functools import partial
from typing import Any

from starlette.requests import Request

from service.analysis.batch import File
from service.api.uploads import MULTIPART_OVERHEAD, form_boundary, part_disposition, read_body
from service.errors import EmptyUpload, MalformedRequest, UploadTooLarge

FIELD = "files"

_MAX_NAME = 255

_BINARY = {"type": "string", "contentMediaType": "application/octet-stream"}
_FORM = {
    "type": "object",
    "required": [FIELD],
    "properties": {FIELD: {"type": "array", "minItems": 1, "items": _BINARY}},
    "additionalProperties": False,
}
FILES_IN_OPENAPI: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "Files of the kinds that `/classify` takes, of animated, multi-page and multi-frame ones all "
        f"frames: a form with one part `{FIELD}` for each; or one such file as the body itself.",
        "content": {"multipart/form-data": {"schema": _FORM}, "application/octet-stream": {"schema": {}}},
    }
}


async def read_files(request: Request, max_bytes: int, max_files: int) -> list[File]:
    """Read files, sent as the form fields `files`, or one as the raw body.

    Raises
    ------
    UploadTooLarge
        They are longer than `max_bytes` together, or more than `max_files`.
    MalformedRequest, EmptyUpload
        The form is broken, or holds something other than parts `files`; no bytes came.
    """
    boundary = form_boundary(request)
    body = await read_body(request, max_bytes, max_bytes)
    if not body:
        raise EmptyUpload("The upload is empty.")
    if boundary is None:
        return [File(0, None, lambda: body)]
    return _split(body, boundary, max_files)


def _split(body: bytes, boundary: bytes, max_files: int) -> list[File]:
    """The parts of a form (RFC 7578), found by search as in `upload`."""
    opening = b"--" + boundary
    if not boundary or not body.startswith(opening):
        raise MalformedRequest("The multipart body does not begin with its boundary.")
    files: list[File] = []
    at = len(opening)
    while not body.startswith(b"--", at):
        if len(files) == max_files:
            raise UploadTooLarge(f"The form has more than the limit of {max_files} files.")
        headers_end = body.find(b"\r\n\r\n", at, at + MULTIPART_OVERHEAD)
        start = headers_end + 4
        end = body.find(b"\r\n" + opening, start)
        if headers_end < 0 or end < 0 or not body.startswith(b"\r\n", at):
            raise MalformedRequest("The multipart body is cut short.")
        name = _file_name(body[at:headers_end])
        files.append(File(len(files), name, partial(_cut, body, start, end)))
        at = end + len(b"\r\n" + opening)
    if not files:
        raise EmptyUpload("The form has no files.")
    return files


def _file_name(headers: bytes) -> str | None:
    disposition = part_disposition(headers)
    if disposition.get(b"name") != FIELD.encode():
        raise MalformedRequest(f"The form has a part that is not named {FIELD!r}.")
    name = disposition.get(b"filename")
    return None if name is None else name.decode(errors="replace")[:_MAX_NAME]


def _cut(body: bytes, start: int, end: int) -> bytes:
    return body[start:end]
