"""Builds requests and reads replies, for both clients."""

from collections.abc import Iterable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import httpx2
from pydantic import BaseModel

from service.schemas.answers import PictureType
from service.schemas.batch import BatchEnd, FrameAnswer, FrameProblem
from service.schemas.problems import ProblemDetails

Upload = Path | bytes
BatchRecord = FrameAnswer | FrameProblem | BatchEnd

_UNAVAILABLE = 503
_MAX_PAUSE_S = 60.0
_DEFAULT_PAUSE_S = 1.0  # without a valid header `Retry-After`

Model = TypeVar("Model", bound=BaseModel)


class ClientError(Exception):
    """The service gave no usable answer."""


class RefusedError(ClientError):
    """The service refused the request.

    Attributes
    ----------
    status
        HTTP status of the reply.
    problem
        The problem in the reply; None when the reply comes from another server, such as a proxy.
    """

    def __init__(self, status: int, problem: ProblemDetails | None) -> None:
        super().__init__(f"{status}: {problem.detail}" if problem else f"{status}")
        self.status = status
        self.problem = problem


class CutShortError(ClientError):
    """The reply to a batch ended before its last line."""


class ClientRequest(NamedTuple):
    """One request, as httpx builds it."""

    method: str
    path: str
    params: dict[str, str | int | bool]
    content: bytes | None = None
    files: list[tuple[str, tuple[str, bytes]]] | None = None
    accept: str = "application/json"

    def options(self) -> dict[str, Any]:
        """Return the arguments of httpx's `build_request` other than method and path."""
        present = {"params": self.params, "content": self.content, "files": self.files}
        return {name: value for name, value in present.items() if value is not None} | {
            "headers": {"Accept": self.accept}
        }


def retry_after_s(reply: httpx2.Response, attempt: int, tries: int) -> float | None:
    """Return the seconds until the next attempt; None when there is none."""
    if reply.status_code != _UNAVAILABLE or attempt >= tries:
        return None
    return read_retry_after(reply.headers.get("Retry-After"))


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


def key_headers(api_key: str | None) -> dict[str, str]:
    """Return the headers that carry an API key."""
    return {} if api_key is None else {"X-API-Key": api_key}


def present(**parameters: str | int | None) -> dict[str, str | int | bool]:
    """Return the parameters that have a value."""
    return {name: value for name, value in parameters.items() if value is not None}


def classify_request(frame: Upload, index: int, top: int) -> ClientRequest:
    """Return a request for the classification of a frame."""
    return ClientRequest("POST", "classify", present(frame=index, top=top), _content(frame))


def explain_request(frame: Upload, index: int, target: str | None) -> ClientRequest:
    """Return a request for the explanation of a frame, without an overlay."""
    return ClientRequest("POST", "explain", present(frame=index, overlay=False, target=target), _content(frame))


def overlay_request(frame: Upload, index: int, target: str | None, media_type: PictureType) -> ClientRequest:
    """Return a request for the overlay of a frame."""
    return ClientRequest("POST", "explain", present(frame=index, target=target), _content(frame), accept=media_type)


def files_request(
    path: str, files: Iterable[Upload], every: int, limit: int | None, more: dict[str, str | int | bool]
) -> ClientRequest:
    """Return a request with many files."""
    parts = [("files", (_name(file, number), _content(file))) for number, file in enumerate(files)]
    return ClientRequest("POST", path, present(every=every, limit=limit) | more, files=parts)


def _content(upload: Upload) -> bytes:
    return upload if isinstance(upload, bytes) else upload.read_bytes()


def _name(upload: Upload, number: int) -> str:
    return str(number) if isinstance(upload, bytes) else upload.name


def read_reply(kind: type[Model], reply: httpx2.Response) -> Model:
    """Return the content of a reply."""
    return kind.model_validate_json(reply.content)


def read_record(line: str) -> BatchRecord:
    """Return the content of a line of a batch; the first field decides its type."""
    if line.startswith('{"summary":'):
        return BatchEnd.model_validate_json(line)
    kind = FrameAnswer if line.startswith('{"predictions":') else FrameProblem
    return kind.model_validate_json(line)


def check_end(ended: bool) -> None:
    """Raise `CutShortError` when a batch has no last line."""
    if not ended:
        raise CutShortError("The reply ended before its last line.")


def refused_error(reply: httpx2.Response) -> RefusedError:
    """Return the error for a refusal."""
    try:
        problem = ProblemDetails.model_validate_json(reply.content)
    except ValueError:
        problem = None
    return RefusedError(reply.status_code, problem)
