"""The client that waits for its answers."""

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
    ask_for_overlay,
    ask_many,
    ask_to_classify,
    ask_to_explain,
    check_end,
    given,
    key_header,
    pause_before_next,
    read_line,
    read_reply,
    refusal,
)
from service.schemas.answers import DEFAULT_TOP_K, Classification, ExplainedClassification, PictureType
from service.schemas.batch import BatchEnd
from service.schemas.exam import ExamReport
from service.schemas.manifest import Manifest


class Client:
    """Asks a service, and waits for its answers.

    Parameters
    ----------
    url
        Where the service is, such as `http://127.0.0.1:8000`; a path before its own routes is kept.
    api_key
        Sent with each request, for services that ask for one.
    timeout_s
        Of each step of a request, in seconds.
    tries
        Of a request, where the service is busy.
    transport
        What carries the requests, for tests.
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
        self._http = httpx2.Client(base_url=url, headers=key_header(api_key), timeout=timeout_s, transport=transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close its connections."""
        self._http.close()

    def classify(self, frame: Upload, *, index: int = 0, top: int = DEFAULT_TOP_K) -> Classification:
        """Name the planes of a frame; raises `RefusedError`."""
        return read_reply(Classification, self._ask(ask_to_classify(frame, index, top)))

    def explain(self, frame: Upload, *, index: int = 0, target: str | None = None) -> ExplainedClassification:
        """The same with a heat map, and without a picture of it; raises `RefusedError`."""
        return read_reply(ExplainedClassification, self._ask(ask_to_explain(frame, index, target)))

    def overlay(
        self, frame: Upload, *, index: int = 0, target: str | None = None, media_type: PictureType = "image/jpeg"
    ) -> bytes:
        """The heat map painted over the frame, as a picture; raises `RefusedError`."""
        return self._ask(ask_for_overlay(frame, index, target, media_type)).content

    def classify_batch(
        self, files: Iterable[Upload], *, every: int = 1, limit: int | None = None, top: int = DEFAULT_TOP_K
    ) -> Iterator[BatchRecord]:
        """A line for each frame, in order, as they come, and the end; raises `RefusedError`, `CutShortError`."""
        ask = ask_many("classify/batch", files, every, limit, {"top": top})
        reply = self._open(ask)
        try:
            ended = False
            for line in reply.iter_lines():
                ended = isinstance(found := read_line(line), BatchEnd)
                yield found
            check_end(ended)
        except httpx2.TransportError as error:
            raise CutShortError("The reply broke off.") from error
        finally:
            reply.close()

    def exam(
        self, files: Iterable[Upload], *, expect: str | None = None, every: int = 1, limit: int | None = None
    ) -> ExamReport:
        """Sort an exam; `expect` names planes with commas between them; raises `RefusedError`."""
        return read_reply(ExamReport, self._ask(ask_many("exam", files, every, limit, given(expect=expect))))

    def exam_page(
        self, files: Iterable[Upload], *, expect: str | None = None, every: int = 1, limit: int | None = None
    ) -> str:
        """The same as a page of HTML; raises `RefusedError`."""
        ask = ask_many("exam", files, every, limit, given(expect=expect))._replace(accept="text/html")
        return self._ask(ask).text

    def model(self) -> Manifest:
        """The manifest of the model that answers; raises `RefusedError`."""
        return read_reply(Manifest, self._ask(ClientRequest("GET", "model", {})))

    def _ask(self, ask: ClientRequest) -> httpx2.Response:
        reply = self._open(ask)
        try:
            reply.read()
        finally:
            reply.close()
        return reply

    def _open(self, ask: ClientRequest) -> httpx2.Response:
        """The reply to a request, unread, once it is no refusal."""
        attempt = 1
        while True:
            reply = self._http.send(self._http.build_request(ask.method, ask.path, **ask.options()), stream=True)
            if reply.is_success:
                return reply
            reply.read()
            pause = pause_before_next(reply, attempt, self._tries)
            if pause is None:
                raise refusal(reply)
            time.sleep(pause)
            attempt += 1
