"""Requests as they are made up, replies as they are read, whoever sends them."""

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

_BUSY = 503
_LONGEST_PAUSE_S = 60.0
_PAUSE_S = 1.0  # where the service does not say how long

Model = TypeVar("Model", bound=BaseModel)


class ClientError(Exception):
    """The service gave no answer that can be used."""


class RefusedError(ClientError):
    """The service refused the request.

    Attributes
    ----------
    status
        Of HTTP.
    problem
        What the service says of it; None where the reply is not the service's own, a proxy's for instance.
    """

    def __init__(self, status: int, problem: ProblemDetails | None) -> None:
        super().__init__(f"{status}: {problem.detail}" if problem else f"{status}")
        self.status = status
        self.problem = problem


class CutShortError(ClientError):
    """A batch's reply ended before its last line."""


class ClientRequest(NamedTuple):
    """One request, in httpx's words."""

    method: str
    path: str
    params: dict[str, str | int | bool]
    content: bytes | None = None
    files: list[tuple[str, tuple[str, bytes]]] | None = None
    accept: str = "application/json"

    def options(self) -> dict[str, Any]:
        """The arguments of httpx's `build_request`, but for method and path."""
        given = {"params": self.params, "content": self.content, "files": self.files}
        return {name: value for name, value in given.items() if value is not None} | {
            "headers": {"Accept": self.accept}
        }


def pause_before_next(reply: httpx2.Response, attempt: int, tries: int) -> float | None:
    """Seconds until a request's next attempt; None where there is to be none."""
    if reply.status_code != _BUSY or attempt >= tries:
        return None
    return read_retry_after(reply.headers.get("Retry-After"))


def read_retry_after(header: str | None, now: datetime | None = None) -> float:
    """Seconds that a header `Retry-After` asks to wait, given as such or as a date (RFC 9110, 10.2.3); 60 at most."""
    text = (header or "").strip()
    if text.isascii() and text.isdecimal():
        return min(_LONGEST_PAUSE_S, float(text[:9]))
    try:
        then = parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return _PAUSE_S
    until = (then - (now or datetime.now(UTC))).total_seconds() if then.tzinfo else _PAUSE_S
    return min(_LONGEST_PAUSE_S, max(0.0, until))


def key_header(api_key: str | None) -> dict[str, str]:
    """The header that carries an API key."""
    return {} if api_key is None else {"X-API-Key": api_key}


def given(**parameters: str | int | None) -> dict[str, str | int | bool]:
    """Those parameters that have a value."""
    return {name: value for name, value in parameters.items() if value is not None}


def ask_to_classify(frame: Upload, index: int, top: int) -> ClientRequest:
    """The request that names the planes of a frame."""
    return ClientRequest("POST", "classify", given(frame=index, top=top), _content(frame))


def ask_to_explain(frame: Upload, index: int, target: str | None) -> ClientRequest:
    """The request that explains a frame, without a picture."""
    return ClientRequest("POST", "explain", given(frame=index, overlay=False, target=target), _content(frame))


def ask_for_overlay(frame: Upload, index: int, target: str | None, media_type: PictureType) -> ClientRequest:
    """The request for the overlay alone."""
    return ClientRequest("POST", "explain", given(frame=index, target=target), _content(frame), accept=media_type)


def ask_many(
    path: str, files: Iterable[Upload], every: int, limit: int | None, more: dict[str, str | int | bool]
) -> ClientRequest:
    """A request with many files."""
    parts = [("files", (_name(file, number), _content(file))) for number, file in enumerate(files)]
    return ClientRequest("POST", path, given(every=every, limit=limit) | more, files=parts)


def _content(upload: Upload) -> bytes:
    return upload if isinstance(upload, bytes) else upload.read_bytes()


def _name(upload: Upload, number: int) -> str:
    return str(number) if isinstance(upload, bytes) else upload.name


def read_reply(kind: type[Model], reply: httpx2.Response) -> Model:
    """What a reply says."""
    return kind.model_validate_json(reply.content)


def read_line(line: str) -> BatchRecord:
    """What a line of a batch says; which kind it is, its first field tells."""
    if line.startswith('{"summary":'):
        return BatchEnd.model_validate_json(line)
    kind = FrameAnswer if line.startswith('{"predictions":') else FrameProblem
    return kind.model_validate_json(line)


def check_end(ended: bool) -> None:
    """Raise `CutShortError` where a batch had no end."""
    if not ended:
        raise CutShortError("The reply ended before its last line.")


def refusal(reply: httpx2.Response) -> RefusedError:
    """What a refusal says."""
    try:
        problem = ProblemDetails.model_validate_json(reply.content)
    except ValueError:
        problem = None
    return RefusedError(reply.status_code, problem)
