"""Everything that the service refuses, as one tree of exceptions.

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
    ├── UnsupportedFormat        415  not an image in a supported format
    ├── Unusable                 422
    │   ├── UnreadableFrame      422  damaged, truncated, of zero size, or without a defined range of values
    │   ├── NoSuchFrame          422
    │   ├── NoSuchPlane          422
    │   └── NoDicomSource        422  a DICOM result needs a DICOM upload
    ├── InternalError            500  a bug
    ├── Unavailable              503
    │   ├── NotReady             503
    │   └── Overloaded           503
    └── DeadlinePassed           504

A class with a `code` is a row of `TABLE`, which the handlers, the OpenAPI document, `GET /problems` and the tests read.
"""

from http import HTTPStatus
from typing import ClassVar

TABLE: dict[str, type["Problem"]] = {}
"""Every problem that a client can meet, by its code."""


class Problem(Exception):  # noqa: N818 (RFC 9457 calls it a problem)
    """A refused request (RFC 9457).

    Parameters
    ----------
    detail
        One sentence for the caller. It must contain nothing from inside the process and no bytes of an upload.
    headers
        Response headers that belong to the refusal, such as `Allow`.
    """

    status: ClassVar[HTTPStatus]
    code: ClassVar[str]
    meaning: ClassVar[str]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "code" in vars(cls):
            TABLE[cls.code] = cls

    def __init__(self, detail: str, *, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.headers = headers or {}

    def __reduce__(self) -> tuple[type["Problem"], tuple[str]]:
        return type(self), (self.detail,)

    @classmethod
    def type_uri(cls) -> str:
        """Return the stable `type` of this problem: a path of this service that describes it."""
        return f"/problems/{cls.code}"

    @classmethod
    def title(cls) -> str:
        """Return the name of this kind of problem."""
        return cls.code.replace("-", " ").capitalize()


class MalformedRequest(Problem):
    """400: the request itself is wrong."""

    status, code = HTTPStatus.BAD_REQUEST, "malformed-request"
    meaning = "The request is malformed, for example a multipart body that is broken or has no part `file`."


class EmptyUpload(MalformedRequest):
    """400: the upload has no bytes."""

    code = "empty-upload"
    meaning = "The upload has no bytes."


class BadParameter(MalformedRequest):
    """400: an unknown query parameter, or an invalid value."""

    code = "bad-parameter"
    meaning = "A query parameter or header is unknown, or its value is invalid."


class NoKey(Problem):
    """401: the API key is missing or unknown."""

    status, code = HTTPStatus.UNAUTHORIZED, "no-key"
    meaning = "This service needs a valid API key in the header `Authorization: Bearer` or `X-API-Key`."


class NotFound(Problem):
    """404: the path does not exist."""

    status, code = HTTPStatus.NOT_FOUND, "not-found"
    meaning = "No resource exists at this path."


class MethodNotAllowed(Problem):
    """405: the path exists, the method does not."""

    status, code = HTTPStatus.METHOD_NOT_ALLOWED, "method-not-allowed"
    meaning = "The path does not accept this method; the header `Allow` lists the methods that it accepts."


class UploadTooSlow(Problem):
    """408: the upload exceeded its time limit."""

    status, code = HTTPStatus.REQUEST_TIMEOUT, "upload-too-slow"
    meaning = "The transfer of the upload exceeded its time limit."


class TooLarge(Problem):
    """413: the upload exceeds a size limit and is not decoded."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE


class UploadTooLarge(TooLarge):
    """413: too many bytes or files."""

    code = "upload-too-large"
    meaning = "The upload exceeds the limit in bytes, or has more files than the limit."


class FrameTooLarge(TooLarge):
    """413: too many pixels by the file's header."""

    code = "frame-too-large"
    meaning = "By its header, the frame exceeds the limits on pixels, side length or pages; it was not decoded."


class UnsupportedFormat(Problem):
    """415: the upload is not an image in a supported format."""

    status, code = HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "unsupported-format"
    meaning = "The bytes are not an image in a supported format. File name and content type do not matter."


class Unusable(Problem):
    """422: the service understands the upload and cannot use it."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY


class UnreadableFrame(Unusable):
    """422: the format is supported, but the pixels cannot be decoded."""

    code = "unreadable-frame"
    meaning = "The image is damaged, truncated, of zero size, or its pixel values have no defined range."


class NoSuchFrame(Unusable):
    """422: the frame index is too high."""

    code = "no-such-frame"
    meaning = "The file has fewer frames than the requested index."


class NoSuchPlane(Unusable):
    """422: the model does not know the plane."""

    code = "no-such-plane"
    meaning = "The requested plane is not a plane of the model; `GET /model` lists them."


class NoDicomSource(Unusable):
    """422: a DICOM result needs a DICOM upload with patient and study."""

    code = "no-dicom-source"
    meaning = "A DICOM result was requested, but the upload is not DICOM or lacks its study, series or instance UID."


class InternalError(Problem):
    """500: a bug. The log has the trace under the request id; the reply says nothing of it."""

    status, code = HTTPStatus.INTERNAL_SERVER_ERROR, "internal-error"
    meaning = "The service failed. The operator finds the cause in the log under the request id."


class Unavailable(Problem):
    """503: try again after `Retry-After`."""

    status = HTTPStatus.SERVICE_UNAVAILABLE


class NotReady(Unavailable):
    """503: the model is not warmed up, or the service stops."""

    code = "not-ready"
    meaning = "The model is not warmed up yet, or the service is stopping. Try again after `Retry-After` seconds."


class Overloaded(Unavailable):
    """503: the admitted uploads fill the limits."""

    code = "overloaded"
    meaning = "The service is at its limit of uploads or of their bytes. Try again after `Retry-After` seconds."


class DeadlinePassed(Problem):
    """504: the reply did not begin by the deadline; the work was stopped."""

    status, code = HTTPStatus.GATEWAY_TIMEOUT, "deadline-passed"
    meaning = "The reply did not begin by the deadline: the service's own, or the shorter one of `X-Deadline-Ms`."
