"""Builds requests and reads replies, for both clients."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from os import PathLike
from typing import NamedTuple, TypedDict

import httpx2
from pydantic import ValidationError
from pydantic_core import from_json

from fetal_planes_client.errors import RefusedError, UnreachableError, UnreadableReplyError
from fetal_planes_client.types.batch import BatchEnd, FrameAnswer, FrameProblem
from fetal_planes_client.types.problems import ProblemDetails
from fetal_planes_client.uploads import Upload, upload_content, upload_name

BatchRecord = FrameAnswer | FrameProblem | BatchEnd
"""A line of a batch: a frame, a refused frame or file, or the summary at the end."""

Parameter = str | int | float | bool | None

_MAX_PAUSE_S = 60.0
_DEFAULT_PAUSE_S = 1.0  # without a valid header `Retry-After`


@contextmanager
def own_errors() -> Iterator[None]:
    """Turn the errors of httpx into `UnreachableError`, and those of pydantic into `UnreadableReplyError`."""
    try:
        yield
    except (httpx2.RequestError, httpx2.InvalidURL) as error:
        raise UnreachableError(str(error) or type(error).__name__) from error
    except ValidationError as error:
        raise UnreadableReplyError(f"The reply is not a valid {error.title}.") from error


class ExamOptions(TypedDict, total=False):
    """The options of an exam; see `Client.exam`."""

    protocol: str | None
    every: int
    limit: int | None
    fps: float | None
    chosen: Iterable[tuple[int, int]]
    corrected: Iterable[tuple[int, int, str | None, str | None]]
    unread: int


class ClientRequest(NamedTuple):
    """One request."""

    method: str
    path: str
    params: Mapping[str, Parameter]
    content: bytes | None = None
    files: list[tuple[str, tuple[str, bytes]]] | None = None
    accept: str = "application/json"
    content_type: str | None = None

    def build(self, http: httpx2.Client | httpx2.AsyncClient) -> httpx2.Request:
        """Return the request for httpx, with the parameters that have a value."""
        params = {name: value for name, value in self.params.items() if value is not None}
        headers = {"Accept": self.accept}
        if self.content_type is not None:
            headers["Content-Type"] = self.content_type
        return http.build_request(
            self.method, self.path, params=params, content=self.content, files=self.files, headers=headers
        )


def frame_request(path: str, upload: Upload, /, **params: Parameter) -> ClientRequest:
    """Return a request with one file."""
    return ClientRequest("POST", path, params, upload_content(upload))


def files_request(path: str, uploads: Iterable[Upload], /, **params: Parameter) -> ClientRequest:
    """Return a request with many files."""
    if isinstance(uploads, str | bytes | PathLike):
        raise TypeError("pass a list of files; one path or one file's bytes is not a list")
    files = [("files", (upload_name(number, each), upload_content(each))) for number, each in enumerate(uploads)]
    return ClientRequest("POST", path, params, files=files)


def batch_request(uploads: Iterable[Upload], /, **params: Parameter) -> ClientRequest:
    """Return a request whose reply comes line by line."""
    return files_request("classify/batch", uploads, **params)._replace(accept="application/x-ndjson")


def exam_request(  # noqa: PLR0913 (`ExamOptions`, by keyword)
    uploads: Iterable[Upload],
    /,
    *,
    protocol: str | None = None,
    every: int = 1,
    limit: int | None = None,
    fps: float | None = None,
    chosen: Iterable[tuple[int, int]] = (),
    corrected: Iterable[tuple[int, int, str | None, str | None]] = (),
    unread: int = 0,
) -> ClientRequest:
    """Return a request for an exam. An option without effect is left out: an older service may not know it."""
    return files_request(
        "exam",
        uploads,
        protocol=protocol,
        every=every,
        limit=limit,
        fps=fps,
        chosen=",".join(f"{file}:{frame}" for file, frame in chosen) or None,
        corrected=",".join(_statement(*each) for each in corrected) or None,
        unread=unread or None,
    )


def _statement(file: int, frame: int, plane: str | None, sub_plane: str | None) -> str:
    """Return what a person says of a frame, in the form of the query."""
    return f"{file}:{frame}:{plane or ''}" + (f":{sub_plane}" if sub_plane else "")


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
    """Return the content of a line of a batch. Raises `UnreadableReplyError`."""
    try:
        record = from_json(line)
        if "summary" in record:
            return BatchEnd.model_validate(record)
        kind = FrameAnswer if "predictions" in record else FrameProblem
        return kind.model_validate(record)
    except (TypeError, ValueError) as error:
        raise UnreadableReplyError("A line of the reply is not a record of a batch.") from error
