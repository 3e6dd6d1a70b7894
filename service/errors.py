"""Everything that the service refuses, as one tree of exceptions and one table.

::

    Problem
    ├── MalformedRequest         400  the request itself is wrong
    │   ├── EmptyUpload          400
    │   └── BadParameter         400
    ├── NoKey                    401
    ├── NotFound                 404
    ├── MethodNotAllowed         405
    ├── UploadTooSlow            408
    ├── TooLarge                 413
    │   ├── UploadTooLarge       413  in bytes
    │   └── FrameTooLarge        413  in pixels
    ├── UnsupportedFormat        415  not an image that is read here
    ├── Unusable                 422
    │   ├── UnreadableFrame      422  damaged, cut short, of zero size, pixels without a defined range
    │   ├── NoSuchFrame          422
    │   ├── NoSuchPlane          422
    │   └── NoDicomSource        422  a DICOM result was asked for of something else
    ├── InternalError            500  a bug; says nothing but that
    ├── Unavailable              503
    │   ├── NotReady             503
    │   └── Overloaded           503
    └── DeadlinePassed           504

`TABLE` holds the rows that a client can meet: handlers, OpenAPI document, `GET /problems` and tests read it.
"""

from http import HTTPStatus
from typing import ClassVar


class Problem(Exception):  # noqa: N818 (the name that RFC 9457 gives it)
    """A request refused, told as RFC 9457 tells it.

    Parameters
    ----------
    detail
        One sentence for the caller. It must hold nothing from inside the process and no bytes of an upload.
    headers
        Response headers that belong to the refusal, such as `Allow`.
    """

    status: ClassVar[HTTPStatus]
    code: ClassVar[str]
    meaning: ClassVar[str]

    def __init__(self, detail: str, *, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.headers = headers or {}

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.detail,)

    @classmethod
    def type_uri(cls) -> str:
        """The stable `type` of this problem: a path of this service that describes it."""
        return f"/problems/{cls.code}"

    @classmethod
    def title(cls) -> str:
        """The kind of problem, in words."""
        return cls.code.replace("-", " ").capitalize()


class MalformedRequest(Problem):
    """400: the request itself is wrong."""

    status, code = HTTPStatus.BAD_REQUEST, "malformed-request"
    meaning = "The request cannot be understood: for example, a multipart body that is broken or lacks the part `file`."


class EmptyUpload(MalformedRequest):
    """400: no bytes came."""

    code = "empty-upload"
    meaning = "The upload holds no bytes."


class BadParameter(MalformedRequest):
    """400: a query parameter that does not exist, or a value that is not of its kind."""

    code = "bad-parameter"
    meaning = "A query parameter is unknown, or its value is not of the kind that it takes."


class NoKey(Problem):
    """401: no API key, or one that is not known here."""

    status, code = HTTPStatus.UNAUTHORIZED, "no-key"
    meaning = "This service asks for an API key, in the header `Authorization: Bearer` or `X-API-Key`."


class NotFound(Problem):
    """404: no such path."""

    status, code = HTTPStatus.NOT_FOUND, "not-found"
    meaning = "Nothing is to be found at this path."


class MethodNotAllowed(Problem):
    """405: the path exists, the method does not."""

    status, code = HTTPStatus.METHOD_NOT_ALLOWED, "method-not-allowed"
    meaning = "The path does not take this method; the header `Allow` names those it takes."


class UploadTooSlow(Problem):
    """408: the upload did not come in time."""

    status, code = HTTPStatus.REQUEST_TIMEOUT, "upload-too-slow"
    meaning = "The upload took longer to come than the limit in seconds."


class TooLarge(Problem):
    """413: refused for its size, before it is decoded."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE


class UploadTooLarge(TooLarge):
    """413: more bytes than the limit."""

    code = "upload-too-large"
    meaning = "The upload is longer than the limit in bytes."


class FrameTooLarge(TooLarge):
    """413: more pixels than the limit, as told by the file's header."""

    code = "frame-too-large"
    meaning = "The frame, by its header, has more pixels, a longer side or more pages than the limits; not decoded."


class UnsupportedFormat(Problem):
    """415: not an image that is read here."""

    status, code = HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "unsupported-format"
    meaning = "The bytes are not an image of a format that is read here, whatever name or content type they came with."


class Unusable(Problem):
    """422: understood, and of no use."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY


class UnreadableFrame(Unusable):
    """422: of a known format, and yet no pixels can be had."""

    code = "unreadable-frame"
    meaning = "The image is damaged, cut short, of zero size, or its pixel values have no defined range."


class NoSuchFrame(Unusable):
    """422: the index is past the last frame."""

    code = "no-such-frame"
    meaning = "The file has fewer frames than the index asked for."


class NoSuchPlane(Unusable):
    """422: the model does not know the plane."""

    code = "no-such-plane"
    meaning = "The plane asked for is not one of the model's; `GET /model` lists them."


class NoDicomSource(Unusable):
    """422: a DICOM result has no patient and study to belong to."""

    code = "no-dicom-source"
    meaning = "A result was asked for as DICOM, but the upload is no DICOM, or names no study, series and instance."


class InternalError(Problem):
    """500: a bug. The log has the trace under the request's id; the reply says nothing of it."""

    status, code = HTTPStatus.INTERNAL_SERVER_ERROR, "internal-error"
    meaning = "A fault of the service itself. The request's id finds it in the log."


class Unavailable(Problem):
    """503: not now; `Retry-After` says when to try again."""

    status = HTTPStatus.SERVICE_UNAVAILABLE


class NotReady(Unavailable):
    """503: no model is warmed up, or the service is on its way out."""

    code = "not-ready"
    meaning = "The model has not passed its warm-up yet, or the service is stopping. Try again after `Retry-After`."


class Overloaded(Unavailable):
    """503: as much is being worked on as the bounds allow."""

    code = "overloaded"
    meaning = "As many uploads, or bytes of them, are being worked on as is allowed. Try again after `Retry-After`."


class DeadlinePassed(Problem):
    """504: no answer in time; the work was ended."""

    status, code = HTTPStatus.GATEWAY_TIMEOUT, "deadline-passed"
    meaning = "There was no answer by the deadline: the service's own, or the shorter one of `X-Deadline-Ms`."


_ROWS: tuple[type[Problem], ...] = (
    MalformedRequest,
    EmptyUpload,
    BadParameter,
    NoKey,
    NotFound,
    MethodNotAllowed,
    UploadTooSlow,
    UploadTooLarge,
    FrameTooLarge,
    UnsupportedFormat,
    UnreadableFrame,
    NoSuchFrame,
    NoSuchPlane,
    NoDicomSource,
    InternalError,
    NotReady,
    Overloaded,
    DeadlinePassed,
)

TABLE: dict[str, type[Problem]] = {row.code: row for row in _ROWS}
"""Every problem that a client can meet, by its code."""
