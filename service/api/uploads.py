"""Reads uploads into memory, never beyond their size limit and never to disk."""

import asyncio
import io
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from itertools import islice
from typing import Any

from python_multipart.multipart import parse_options_header
from starlette.requests import Request

from service.analysis.batch import File
from service.api.forms import MAX_PART_HEADERS, form_parts
from service.errors import EmptyUpload, MalformedRequest, Problem, UploadTooLarge
from service.imaging.files.archive import Member, is_zip, list_members, open_bytes
from service.imaging.files.formats import SUPPORTED
from service.imaging.files.local_file import LazyFile, Upload
from service.jobs.listing import skip_reason
from service.settings import Settings

FILE_FIELD = "file"
FILES_FIELD = "files"

_LARGE = 2**20  # bytes of a form that is searched in a thread, because it takes milliseconds
# `format` for generators of clients that know OpenAPI 3.0 only, `contentMediaType` for those of 3.1
_BINARY = {"type": "string", "format": "binary", "contentMediaType": "application/octet-stream"}


def _body_in_openapi(field: str, schema: dict[str, Any], description: str) -> dict[str, Any]:
    form = {"type": "object", "required": [field], "properties": {field: schema}, "additionalProperties": False}
    content = {"multipart/form-data": {"schema": form}, "application/octet-stream": {"schema": _BINARY}}
    return {"requestBody": {"required": True, "description": description, "content": content}}


FRAME_IN_OPENAPI = _body_in_openapi(
    FILE_FIELD,
    _BINARY,
    f"One file: {SUPPORTED}; the service detects the format from the bytes. "
    f"Send a form with one part `{FILE_FIELD}`, or the file itself as the body with any content type.",
)
FILES_IN_OPENAPI = _body_in_openapi(
    FILES_FIELD,
    {"type": "array", "minItems": 1, "items": _BINARY},
    "Files in the formats of `/classify`, with all frames of multi-frame, multi-page and animated files and of "
    "videos. A ZIP archive stands for the files in it. Send a form with one part "
    f"`{FILES_FIELD}` for each file, or a single file as the body.",
)


async def read_upload(request: Request, max_bytes: int) -> bytes:
    """Read the file of one frame: the form field `file` or the body itself.

    Raises `UploadTooLarge`, `MalformedRequest` or `EmptyUpload`.
    """
    boundary = _form_boundary(request)
    most = max_bytes if boundary is None else max_bytes + MAX_PART_HEADERS
    upload = await read_body(request, most, max_bytes)
    if boundary is not None:
        large = len(upload) > _LARGE
        upload = await asyncio.to_thread(_form_file, upload, boundary) if large else _form_file(upload, boundary)
    if not upload:
        raise EmptyUpload("The upload is empty.")
    if len(upload) > max_bytes:
        raise _too_large(max_bytes)
    return upload


def _form_file(body: bytes, boundary: bytes) -> bytes:
    parts = list(islice(form_parts(body, boundary, FILE_FIELD), 2))
    if len(parts) != 1:
        raise MalformedRequest(f"The form has {'more than one' if parts else 'no'} part `{FILE_FIELD}`.")
    return body[parts[0].content]


async def read_files(request: Request, settings: Settings) -> list[File]:
    """Read many files: the form fields `files`, or one file as the body; ZIP archives count as the files in them.

    The form stays in memory as one body; each file is copied out of it, or inflated, when the batch reaches it.

    Raises `UploadTooLarge`, `MalformedRequest` or `EmptyUpload`.
    """
    boundary = _form_boundary(request)
    body = await read_body(request, settings.max_batch_bytes, settings.max_batch_bytes)
    if not body:
        raise EmptyUpload("The upload is empty.")
    parts = [(slice(None), None)] if boundary is None else form_parts(body, boundary, FILES_FIELD)
    # Thousands of parts, or of files in an archive, take a while.
    files = await asyncio.to_thread(expand_archives, body, parts, settings.max_batch_frames, settings.max_upload_bytes)
    if not files:
        raise EmptyUpload("The upload has no files.")
    return files


def expand_archives(
    body: bytes, parts: Iterable[tuple[slice, str | None]], max_files: int, max_bytes: int
) -> list[File]:
    """Return the files of an upload, numbered from 0; a ZIP archive counts as the files in it.

    Parameters
    ----------
    body, parts
        The upload, and where each file is in it, with its name.
    max_files
        Files of all archives and outside of them; raises `UploadTooLarge` where there are more.
    max_bytes
        Of a file in an archive.
    """
    files: list[File] = []
    for part, name in parts:
        for file in _expand(body, part, name, max_files, max_bytes):
            if len(files) == max_files:
                raise UploadTooLarge(f"The upload has more files than the limit of {max_files}.")
            files.append(file._replace(number=len(files)))
    return files


def _expand(body: bytes, part: slice, name: str | None, max_files: int, max_bytes: int) -> list[File]:
    start, stop, _ = part.indices(len(body))
    whole = LazyFile(stop - start, partial[bytes](body.__getitem__, part))
    if not is_zip(body[start : min(stop, start + 4)]):
        return [File(0, name, lambda: whole)]
    try:
        members = list_members(open_bytes(body, part), max_files)
    except Problem as problem:
        return [File(0, name, partial(_refuse, problem))]
    prefix = "" if name is None else f"{name}/"
    return [
        File(0, f"{prefix}{each.name}", partial(each.lazy, max_bytes), partial(_companion, each, max_bytes))
        for each in members
        if skip_reason(each.name) is None
    ]


def _refuse(problem: Problem) -> Upload:
    raise problem


def _companion(member: Member, max_bytes: int) -> str | None:
    """Return what a refused file of an archive is that holds no frame, as in a folder."""
    with suppress(ImportError, Problem):  # without the extra `dicom`, or damaged
        from service.jobs.companions import companion_kind

        data = member.read(max_bytes)
        return companion_kind(member.name, lambda length: data[:length], max_bytes)
    return None


def _form_boundary(request: Request) -> bytes | None:
    """Return the boundary of a multipart body: empty when the header lacks it, None for another content type."""
    kind, options = parse_options_header(request.headers.get("content-type"))
    return options.get(b"boundary", b"") if kind == b"multipart/form-data" else None


async def read_body(request: Request, most: int, max_bytes: int) -> bytes:
    """Read a body of at most `most` bytes; `UploadTooLarge` names the limit `max_bytes`."""
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > most:
        raise _too_large(max_bytes)
    body, first = io.BytesIO(), b""  # grows in place and returns its buffer; joining chunks would hold it twice
    async for chunk in request.stream():
        if body.tell() + len(first) + len(chunk) > most:
            raise _too_large(max_bytes)
        if first or body.tell():
            body.write(first)
            body.write(chunk)
            first = b""
        else:
            first = chunk  # often all of the body, which need not be copied
    return first or body.getvalue()


def _too_large(max_bytes: int) -> UploadTooLarge:
    # The rest of the upload stays unread, so the connection cannot serve another request.
    return UploadTooLarge(f"The upload exceeds the limit of {max_bytes} bytes.", headers={"Connection": "close"})
