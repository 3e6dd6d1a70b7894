"""The asynchronous client."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import aclosing
from typing import Any, Concatenate, ParamSpec, Self, TypeVar, cast

import httpx2

from service.client import messages
from service.client.messages import BatchRecord, ClientRequest, CutShortError, Upload
from service.client.sync_client import Client
from service.schemas.answers import DEFAULT_TOP_K

P = ParamSpec("P")
T = TypeVar("T")


def _awaitable(
    method: Callable[Concatenate[Client, P], T],
) -> "Callable[Concatenate[AsyncClient, P], Coroutine[Any, Any, T]]":
    """Return a method of `Client` unchanged. It returns what `_read` returns: here, a coroutine."""
    return cast("Callable[Concatenate[AsyncClient, P], Coroutine[Any, Any, T]]", method)


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
        headers = messages.key_headers(api_key)
        self._tries = tries
        self._http = httpx2.AsyncClient(base_url=url, headers=headers, timeout=timeout_s, transport=transport)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    classify = _awaitable(Client.classify)
    explain = _awaitable(Client.explain)
    overlay = _awaitable(Client.overlay)
    exam = _awaitable(Client.exam)
    exam_page = _awaitable(Client.exam_page)
    model = _awaitable(Client.model)

    async def classify_batch(
        self, files: Iterable[Upload], *, every: int = 1, limit: int | None = None, top: int = DEFAULT_TOP_K
    ) -> AsyncIterator[BatchRecord]:
        """See `Client.classify_batch`."""
        record: BatchRecord | None = None
        request = messages.files_request("classify/batch", files, every=every, limit=limit, top=top)
        async with aclosing(await self._open(request)) as reply:
            try:
                async for line in reply.aiter_lines():
                    yield (record := messages.read_record(line))
            except httpx2.TransportError as error:
                raise CutShortError("The reply broke off.") from error
        messages.check_end(record)

    async def _read(self, request: ClientRequest, read: Callable[[bytes], T]) -> T:
        async with aclosing(await self._open(request)) as reply:
            return read(await reply.aread())

    async def _open(self, request: ClientRequest) -> httpx2.Response:
        attempt = 1
        while not (reply := await self._http.send(request.build(self._http), stream=True)).is_success:
            await reply.aread()
            await asyncio.sleep(messages.pause_s(reply, self._tries - attempt))
            attempt += 1
        return reply
