"""The asynchronous client."""

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


class AsyncClient:
    """Sends requests without blocking the event loop. Parameters and methods are those of `Client`."""

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
            base_url=url, headers=key_headers(api_key), timeout=timeout_s, transport=transport
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def classify(self, frame: Upload, *, index: int = 0, top: int = DEFAULT_TOP_K) -> Classification:
        """See `Client.classify`."""
        return read_reply(Classification, await self._request(classify_request(frame, index, top)))

    async def explain(self, frame: Upload, *, index: int = 0, target: str | None = None) -> ExplainedClassification:
        """See `Client.explain`."""
        return read_reply(ExplainedClassification, await self._request(explain_request(frame, index, target)))

    async def overlay(
        self, frame: Upload, *, index: int = 0, target: str | None = None, media_type: PictureType = "image/jpeg"
    ) -> bytes:
        """See `Client.overlay`."""
        return (await self._request(overlay_request(frame, index, target, media_type))).content

    async def classify_batch(
        self, files: Iterable[Upload], *, every: int = 1, limit: int | None = None, top: int = DEFAULT_TOP_K
    ) -> AsyncIterator[BatchRecord]:
        """See `Client.classify_batch`."""
        request = files_request("classify/batch", files, every, limit, {"top": top})
        reply = await self._open(request)
        try:
            ended = False
            async for line in reply.aiter_lines():
                ended = isinstance(found := read_record(line), BatchEnd)
                yield found
            check_end(ended)
        except httpx2.TransportError as error:
            raise CutShortError("The reply broke off.") from error
        finally:
            await reply.aclose()

    async def exam(
        self, files: Iterable[Upload], *, expect: str | None = None, every: int = 1, limit: int | None = None
    ) -> ExamReport:
        """See `Client.exam`."""
        request = files_request("exam", files, every, limit, present(expect=expect))
        return read_reply(ExamReport, await self._request(request))

    async def exam_page(
        self, files: Iterable[Upload], *, expect: str | None = None, every: int = 1, limit: int | None = None
    ) -> str:
        """See `Client.exam_page`."""
        request = files_request("exam", files, every, limit, present(expect=expect))._replace(accept="text/html")
        return (await self._request(request)).text

    async def model(self) -> Manifest:
        """See `Client.model`."""
        return read_reply(Manifest, await self._request(ClientRequest("GET", "model", {})))

    async def _request(self, request: ClientRequest) -> httpx2.Response:
        reply = await self._open(request)
        try:
            await reply.aread()
        finally:
            await reply.aclose()
        return reply

    async def _open(self, request: ClientRequest) -> httpx2.Response:
        attempt = 1
        while True:
            built = self._http.build_request(request.method, request.path, **request.options())
            reply = await self._http.send(built, stream=True)
            if reply.is_success:
                return reply
            await reply.aread()
            pause = retry_after_s(reply, attempt, self._tries)
            if pause is None:
                raise refused_error(reply)
            await asyncio.sleep(pause)
            attempt += 1
