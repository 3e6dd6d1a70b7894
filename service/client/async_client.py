"""The client that leaves the event loop free."""

import asyncio
from collections.abc import AsyncIterator, Iterable
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


class AsyncClient:
    """Asks a service without blocking the event loop; parameters and methods are those of `Client`."""

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None = None,
        timeout_s: float = 60,
        tries: int = 8,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self._tries = tries
        self._http = httpx2.AsyncClient(
            base_url=url, headers=key_header(api_key), timeout=timeout_s, transport=transport
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close its connections."""
        await self._http.aclose()

    async def classify(self, frame: Upload, *, index: int = 0, top: int = DEFAULT_TOP_K) -> Classification:
        """As of `Client`."""
        return read_reply(Classification, await self._ask(ask_to_classify(frame, index, top)))

    async def explain(self, frame: Upload, *, index: int = 0, target: str | None = None) -> ExplainedClassification:
        """As of `Client`."""
        return read_reply(ExplainedClassification, await self._ask(ask_to_explain(frame, index, target)))

    async def overlay(
        self, frame: Upload, *, index: int = 0, target: str | None = None, media_type: PictureType = "image/jpeg"
    ) -> bytes:
        """As of `Client`."""
        return (await self._ask(ask_for_overlay(frame, index, target, media_type))).content

    async def classify_batch(
        self, files: Iterable[Upload], *, every: int = 1, limit: int | None = None, top: int = DEFAULT_TOP_K
    ) -> AsyncIterator[BatchRecord]:
        """As of `Client`."""
        ask = ask_many("classify/batch", files, every, limit, {"top": top})
        reply = await self._open(ask)
        try:
            ended = False
            async for line in reply.aiter_lines():
                ended = isinstance(found := read_line(line), BatchEnd)
                yield found
            check_end(ended)
        except httpx2.TransportError as error:
            raise CutShortError("The reply broke off.") from error
        finally:
            await reply.aclose()

    async def exam(
        self, files: Iterable[Upload], *, expect: str | None = None, every: int = 1, limit: int | None = None
    ) -> ExamReport:
        """As of `Client`."""
        return read_reply(ExamReport, await self._ask(ask_many("exam", files, every, limit, given(expect=expect))))

    async def exam_page(
        self, files: Iterable[Upload], *, expect: str | None = None, every: int = 1, limit: int | None = None
    ) -> str:
        """As of `Client`."""
        ask = ask_many("exam", files, every, limit, given(expect=expect))._replace(accept="text/html")
        return (await self._ask(ask)).text

    async def model(self) -> Manifest:
        """As of `Client`."""
        return read_reply(Manifest, await self._ask(ClientRequest("GET", "model", {})))

    async def _ask(self, ask: ClientRequest) -> httpx2.Response:
        reply = await self._open(ask)
        try:
            await reply.aread()
        finally:
            await reply.aclose()
        return reply

    async def _open(self, ask: ClientRequest) -> httpx2.Response:
        attempt = 1
        while True:
            request = self._http.build_request(ask.method, ask.path, **ask.options())
            reply = await self._http.send(request, stream=True)
            if reply.is_success:
                return reply
            await reply.aread()
            pause = pause_before_next(reply, attempt, self._tries)
            if pause is None:
                raise refusal(reply)
            await asyncio.sleep(pause)
            attempt += 1
