"""Builds requests and reads replies, for both clients."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from io import IOBase
from pathlib import Path
from typing import BinaryIO, NamedTuple

import httpx2

from service.schemas.batch import BatchEnd, FrameAnswer, FrameProblem
from service.schemas.file_names import path_text
from service.schemas.problems import ProblemDetails


class NamedUpload(NamedTuple):
    """A file with the name that its answers show instead of the last part of its path."""

    name: str
    path: Path


Upload = Path | str | bytes | BinaryIO | NamedUpload
"""A file: its path, its bytes, or a file object that is open for reading bytes."""

BatchRecord = FrameAnswer | FrameProblem | BatchEnd
Parameter = str | int | float | bool | None

_MAX_PAUSE_S = 60.0
_DEFAULT_PAUSE_S = 1.0  # without a valid header `Retry-After`


class ClientError(Exception):
    """The service gave no usable answer."""


class RefusedError(ClientError):
    """The service refused the request."""

    def __init__(self, status: int, problem: ProblemDetails | None) -> None:
        super().__init__(f"{status}: {problem.detail}" if problem else f"{status}")
        self.status = status  # of HTTP
        self.problem = problem  # None when the reply comes from another server, such as a proxy


class CutShortError(ClientError):
    """The reply to a batch ended before its last line."""


class UnreachableError(ClientError):
    """The service cannot be reached, or the connection broke before the answer was complete."""


@contextmanager
def own_errors() -> Iterator[None]:
    """Turn the errors of the network into `UnreachableError`."""
    try:
        yield
    except httpx2.TransportError as error:
        raise UnreachableError(str(error)) from error


class ClientRequest(NamedTuple):
    """One request."""

    method: str
    path: str
    params: dict[str, Parameter]
    content: bytes | None = None
    files: list[tuple[str, tuple[str, bytes]]] | None = None
    accept: str = "application/json"

    def build(self, http: httpx2.Client | httpx2.AsyncClient) -> httpx2.Request:
        """Return the request for httpx, with the parameters that have a value."""
        params = {name: value for name, value in self.params.items() if value is not None}
        headers = {"Accept": self.accept}
        return http.build_request(
            self.method, self.path, params=params, content=self.content, files=self.files, headers=headers
        )


def frame_request(path: str, upload: Upload, /, **params: Parameter) -> ClientRequest:
    """Return a request with one file."""
    return ClientRequest("POST", path, params, _content(upload))


def files_request(path: str, uploads: Iterable[Upload], /, **params: Parameter) -> ClientRequest:
    """Return a request with many files."""
    if isinstance(uploads, str | bytes):
        raise TypeError("pass a list of files; one path or one file's bytes is not a list")
    files = [("files", (_name(number, upload), _content(upload))) for number, upload in enumerate(uploads)]
    return ClientRequest("POST", path, params, files=files)


def batch_request(uploads: Iterable[Upload], /, **params: Parameter) -> ClientRequest:
    """Return a request whose reply comes line by line."""
    return files_request("classify/batch", uploads, **params)._replace(accept="application/x-ndjson")


def _name(number: int, upload: Upload) -> str:
    """Return the last part of the file's path, or its number where it has none."""
    if isinstance(upload, NamedUpload):
        return upload.name
    path = getattr(upload, "name", None) if isinstance(upload, IOBase) else upload
    return path_text(Path(path).name) if isinstance(path, str | Path) else str(number)


def _content(upload: Upload) -> bytes:
    if isinstance(upload, bytes):
        return upload
    if isinstance(upload, str | Path):
        return Path(upload).read_bytes()
    return upload.path.read_bytes() if isinstance(upload, NamedUpload) else upload.read()


def pause_s(refusal: httpx2.Response, tries_left: int) -> float:
    """Return the seconds until the next attempt. Raises `RefusedError` when there is none."""
    if refusal.status_code == HTTPStatus.SERVICE_UNAVAILABLE and tries_left > 0:
        return read_retry_after(refusal.headers.get("Retry-After"))
    try:
        problem = ProblemDetails.model_validate_json(refusal.content)
    except ValueError:
        problem = None
    raise RefusedError(refusal.status_code, problem)


def read_retry_after(header: str | None, now: datetime | None = None) -> float:
    """Return the seconds in a header `Retry-After`, at most 60. It holds a number or a date (RFC 9110, 10.2.3)."""
    text = (header or "").strip()
    if text.isascii() and text.isdecimal():
        return min(_MAX_PAUSE_S, float(text[:9]))
    try:
        then = parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return _DEFAULT_PAUSE_S
    until = (then - (now or datetime.now(UTC))).total_seconds() if then.tzinfo else _DEFAULT_PAUSE_S
    return min(_MAX_PAUSE_S, max(0.0, until))


def read_record(line: str) -> BatchRecord:
    """Return the content of a line of a batch; the first field decides its type."""
    if line.startswith('{"summary":'):
        return BatchEnd.model_validate_json(line)
    kind = FrameAnswer if line.startswith('{"predictions":') else FrameProblem
    return kind.model_validate_json(line)
