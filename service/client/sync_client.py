"""The synchronous client."""

import time
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Self

import httpx2

from service.client.messages import (
    BatchRecord,
    ClientRequest,
    CutShortError,
    Upload,
    check_end,
    classify_request,
    explain_request,
    files_request,
    key_headers,
    overlay_request,
    present,
    read_record,
    read_reply,
    refused_error,
    retry_after_s,
)
from service.schemas.answers import DEFAULT_TOP_K, Classification, ExplainedClassification, PictureType
from service.schemas.batch import BatchEnd
from service.schemas.exam import ExamReport
from service.schemas.manifest import Manifest


class Client:
    """Sends requests and waits for their answers.

    Parameters
    ----------
    url
        Address of the service, such as `http://127.0.0.1:8000`. It may contain a path prefix.
    api_key
        API key, for a service that needs one.
    timeout_s
        Seconds for each network operation: connect, write, read.
    tries
        Maximum number of attempts of a request while the service answers 503.
    transport
        Replaces the network, for tests.
    """

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None = None,
        timeout_s: float = 60,
        tries: int = 8,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        self._tries = tries
        self._http = httpx2.Client(base_url=url, headers=key_headers(api_key), timeout=timeout_s, transport=transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def classify(self, frame: Upload, *, index: int = 0, top: int = DEFAULT_TOP_K) -> Classification:
        """Return the most probable planes of a frame. Raises `RefusedError`."""
        return read_reply(Classification, self._request(classify_request(frame, index, top)))

    def explain(self, frame: Upload, *, index: int = 0, target: str | None = None) -> ExplainedClassification:
        """Return the classification of a frame with a heat map, without an overlay. Raises `RefusedError`."""
        return read_reply(ExplainedClassification, self._request(explain_request(frame, index, target)))

    def overlay(
        self, frame: Upload, *, index: int = 0, target: str | None = None, media_type: PictureType = "image/jpeg"
    ) -> bytes:
        """Return the frame with its heat map as an encoded picture. Raises `RefusedError`."""
        return self._request(overlay_request(frame, index, target, media_type)).content

    def classify_batch(
        self, files: Iterable[Upload], *, every: int = 1, limit: int | None = None, top: int = DEFAULT_TOP_K
    ) -> Iterator[BatchRecord]:
        """Yield a record per frame in order, then the summary. Raises `RefusedError` and `CutShortError`."""
        request = files_request("classify/batch", files, every, limit, {"top": top})
        reply = self._open(request)
        try:
            ended = False
            for line in reply.iter_lines():
                ended = isinstance(found := read_record(line), BatchEnd)
                yield found
            check_end(ended)
        except httpx2.TransportError as error:
            raise CutShortError("The reply broke off.") from error
        finally:
            reply.close()

    def exam(
        self, files: Iterable[Upload], *, expect: str | None = None, every: int = 1, limit: int | None = None
    ) -> ExamReport:
        """Return an exam sorted by plane; `expect` holds plane ids separated by commas. Raises `RefusedError`."""
        request = files_request("exam", files, every, limit, present(expect=expect))
        return read_reply(ExamReport, self._request(request))

    def exam_page(
        self, files: Iterable[Upload], *, expect: str | None = None, every: int = 1, limit: int | None = None
    ) -> str:
        """Return the sorted exam as an HTML page. Raises `RefusedError`."""
        request = files_request("exam", files, every, limit, present(expect=expect))._replace(accept="text/html")
        return self._request(request).text

    def model(self) -> Manifest:
        """Return the manifest of the served model. Raises `RefusedError`."""
        return read_reply(Manifest, self._request(ClientRequest("GET", "model", {})))

    def _request(self, request: ClientRequest) -> httpx2.Response:
        reply = self._open(request)
        try:
            reply.read()
        finally:
            reply.close()
        return reply

    def _open(self, request: ClientRequest) -> httpx2.Response:
        """Return the first successful reply to a request, with its body unread."""
        attempt = 1
        while True:
            built = self._http.build_request(request.method, request.path, **request.options())
            reply = self._http.send(built, stream=True)
            if reply.is_success:
                return reply
            reply.read()
            pause = retry_after_s(reply, attempt, self._tries)
            if pause is None:
                raise refused_error(reply)
            time.sleep(pause)
            attempt += 1
