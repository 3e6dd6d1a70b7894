"""Everything that the service refuses, as one tree of exceptions.

::

    Problem
    ├── MalformedRequest         400  the request itself is wrong
    │   ├── EmptyUpload          400
    │   └── BadParameter         400
    ├── NoKey                    401
    ├── NotFound                 404
    │   └── NoStore              404  corrections are not kept here
    ├── MethodNotAllowed         405
    ├── UploadTooSlow            408
    ├── TooLarge                 413
    │   ├── UploadTooLarge       413  in bytes
    │   └── FrameTooLarge        413  in pixels
    ├── UnsupportedFormat        415  not an image in a supported format
    ├── UnsupportedEncoding      415  compressed in another way than gzip or deflate
    ├── NotJson                  415  where the body must be JSON
    ├── Unusable                 422
    │   ├── UnreadableFrame      422  damaged, truncated, of zero size, or without a defined range of values
    │   ├── DecodeLimit          422  needs more memory or CPU time than its size justifies
    │   ├── NoSuchFrame          422
    │   ├── NoSuchPlane          422
    │   ├── NoSuchProtocol       422
    │   ├── NoDicomSource        422  a DICOM result needs a DICOM upload
    │   ├── InvalidCorrection    422
    │   ├── OtherFile            422  not the file that was corrected
    │   └── NoSector             422  nothing of the frame can be kept
    ├── InternalError            500  a bug
    ├── Unavailable              503
    │   ├── NotReady             503
    │   ├── Overloaded           503
    │   └── StoreUnavailable     503
    ├── DeadlinePassed           504
    └── StoreFull                507

A class with a `code` is a row of `TABLE`, which the handlers, the OpenAPI document, `GET /problems` and the tests read.
Its docstring is the `meaning` that they show.
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

    def __init_subclass__(cls, *, status: HTTPStatus | None = None, code: str | None = None) -> None:
        cls.status = status or cls.status
        if code is not None:
            cls.code, cls.meaning = code, cls.__doc__ or ""
            TABLE[code] = cls

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


class MalformedRequest(Problem, status=HTTPStatus.BAD_REQUEST, code="malformed-request"):
    """The request is malformed, for example a multipart body that is broken or has no part `file`."""


class EmptyUpload(MalformedRequest, code="empty-upload"):
    """The upload has no bytes."""


class BadParameter(MalformedRequest, code="bad-parameter"):
    """A query parameter or header is unknown, or its value is invalid."""


class NoKey(Problem, status=HTTPStatus.UNAUTHORIZED, code="no-key"):
    """This service needs a valid API key in the header `Authorization: Bearer` or `X-API-Key`."""


class NotFound(Problem, status=HTTPStatus.NOT_FOUND, code="not-found"):
    """No resource exists at this path."""


class NoStore(NotFound, code="no-store"):
    """This service keeps no corrections, or no frames: its operator has not set `FETAL_PLANES_STORE`."""


class MethodNotAllowed(Problem, status=HTTPStatus.METHOD_NOT_ALLOWED, code="method-not-allowed"):
    """The path does not accept this method; the header `Allow` lists the methods that it accepts."""


class UploadTooSlow(Problem, status=HTTPStatus.REQUEST_TIMEOUT, code="upload-too-slow"):
    """The transfer of the upload exceeded its time limit."""


class TooLarge(Problem, status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE):
    """The upload exceeds a size limit and is not decoded."""


class UploadTooLarge(TooLarge, code="upload-too-large"):
    """The upload exceeds the limit in bytes, or has more files than the limit."""


class FrameTooLarge(TooLarge, code="frame-too-large"):
    """By its header, the frame exceeds the limits on pixels, side length or pages; it was not decoded."""


class UnsupportedFormat(Problem, status=HTTPStatus.UNSUPPORTED_MEDIA_TYPE, code="unsupported-format"):
    """The bytes are not an image in a supported format. File name and content type do not matter."""


class UnsupportedEncoding(Problem, status=HTTPStatus.UNSUPPORTED_MEDIA_TYPE, code="unsupported-encoding"):
    """The header `Content-Encoding` is neither gzip nor deflate."""


class NotJson(Problem, status=HTTPStatus.UNSUPPORTED_MEDIA_TYPE, code="not-json"):
    """This path takes JSON only; the header `Content-Type` must be `application/json`."""


class Unusable(Problem, status=HTTPStatus.UNPROCESSABLE_ENTITY):
    """The service understands the upload and cannot use it."""


class UnreadableFrame(Unusable, code="unreadable-frame"):
    """The image is damaged, truncated, of zero size, or its pixel values have no defined range."""


class DecodeLimit(Unusable, code="decode-limit"):
    """Decoding took more memory or CPU time than the size of the picture justifies, and was stopped."""


class NoSuchFrame(Unusable, code="no-such-frame"):
    """The file has fewer frames than the requested index."""


class NoSuchPlane(Unusable, code="no-such-plane"):
    """The requested plane is not a plane of the model; `GET /model` lists them."""


class NoSuchProtocol(Unusable, code="no-such-protocol"):
    """The service has no protocol with the requested id; `GET /protocols` lists them."""


class NoDicomSource(Unusable, code="no-dicom-source"):
    """A DICOM result was requested, but the upload is not DICOM or lacks its study, series or instance UID."""


class InvalidCorrection(Unusable, code="invalid-correction"):
    """A correction lacks a field, or a field has a value that does not fit; none of the request was kept."""


class OtherFile(Unusable, code="other-file"):
    """The upload is not the file of the correction: its SHA-256 is another one."""


class NoSector(Unusable, code="no-sector"):
    """No sector stands out in the frame, and the service keeps nothing else of it: text could name the patient."""


class InternalError(Problem, status=HTTPStatus.INTERNAL_SERVER_ERROR, code="internal-error"):
    """The service failed. The operator finds the cause in the log under the request id."""


class Unavailable(Problem, status=HTTPStatus.SERVICE_UNAVAILABLE):
    """Try again after `Retry-After`."""


class NotReady(Unavailable, code="not-ready"):
    """The model is not warmed up yet, or the service is stopping. Try again after `Retry-After` seconds."""


class Overloaded(Unavailable, code="overloaded"):
    """The service is at its limit of uploads or of their bytes. Try again after `Retry-After` seconds."""


class StoreUnavailable(Unavailable, code="store-unavailable"):
    """The database of the corrections does not answer. Try again after `Retry-After` seconds."""


class DeadlinePassed(Problem, status=HTTPStatus.GATEWAY_TIMEOUT, code="deadline-passed"):
    """The reply did not begin by the deadline: the service's own, or the shorter one of `X-Deadline-Ms`."""


class StoreFull(Problem, status=HTTPStatus.INSUFFICIENT_STORAGE, code="store-full"):
    """The folder of kept frames has reached its quota, or cannot be written; the frame was not kept."""
