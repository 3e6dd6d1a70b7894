"""The pace at which the service refuses a client that asks again at once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple

import pytest
import uvicorn
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.server import ServerState

from service.transport.connections import Connections, TimeLimits
from service.transport.protocol import HttpProtocol
from tests.support.waiting import TIMEOUT_S


class Refusing:
    """An app that refuses every upload with 503 and counts the requests."""

    def __init__(self) -> None:
        self.requests = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
        self.requests += 1
        await Response(status_code=503 if scope["method"] == "POST" else 200)(scope, receive, send)


class Served(NamedTuple):
    """A connection to an app behind the protocol of the service."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    protocol: HttpProtocol


@asynccontextmanager
async def served(app: ASGIApp) -> AsyncIterator[Served]:
    made: list[HttpProtocol] = []
    connections = Connections(TimeLimits(20, 2**20))
    config = uvicorn.Config(app, lifespan="off", log_config=None)
    config.load()
    state = ServerState()

    def protocol() -> HttpProtocol:
        made.append(HttpProtocol(config, state, {}, connections=connections))
        return made[-1]

    async with await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0) as server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
        yield Served(reader, writer, made[0])
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
        async with asyncio.timeout(TIMEOUT_S):
            while state.connections:
                await asyncio.sleep(0.01)


UPLOAD = bytes(200_000)  # more than the service reads before it refuses


def request(method: str) -> bytes:
    body = UPLOAD if method == "POST" else b""
    return f"{method} /classify HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


@pytest.mark.parametrize(("method", "most"), [("POST", 3), ("GET", 10**6)])
def test_a_client_that_asks_again_at_once_is_refused_once_per_second(method: str, most: int) -> None:
    app = Refusing()

    async def ask_for_a_second() -> int:
        async with served(app) as (reader, writer, _):
            loop = asyncio.get_running_loop()
            started, replies = loop.time(), 0
            while loop.time() < started + 1:
                writer.write(request(method))
                head = await reader.readuntil(b"\r\n\r\n")
                assert head.startswith(b"HTTP/1.1 503" if method == "POST" else b"HTTP/1.1 200")
                replies += 1
            return replies

    replies = asyncio.run(ask_for_a_second())
    assert replies <= app.requests <= most
    assert method == "POST" or replies > 5


async def refused_after(client: Served) -> float:
    """Send an upload that is refused; return the seconds until then."""
    began = asyncio.get_running_loop().time()
    client.writer.write(request("POST"))
    assert (await client.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 503")
    return asyncio.get_running_loop().time() - began


def test_only_a_client_that_comes_back_too_early_waits_for_its_refusal() -> None:
    async def ask() -> tuple[float, float, float]:
        async with served(Refusing()) as client:
            first, early = await refused_after(client), await refused_after(client)
            await asyncio.sleep(1.01)  # as `Retry-After` asks
            return first, early, await refused_after(client)

    first, early, polite = asyncio.run(ask())
    assert early > 0.9
    assert max(first, polite) < 0.4


def test_a_held_refusal_keeps_nothing_of_its_upload() -> None:
    app = Refusing()

    async def ask() -> None:
        async with served(app) as client:
            await refused_after(client)
            client.writer.write(request("POST"))
            async with asyncio.timeout(TIMEOUT_S):
                while app.requests < 2:
                    await asyncio.sleep(0.01)
            await asyncio.sleep(0.1)
            cycle = client.protocol.cycle
            assert not cycle.response_complete
            assert client.protocol.flow.read_paused
            assert not cycle.body

    asyncio.run(ask())


def test_a_client_may_leave_while_its_refusal_is_held() -> None:
    app = Refusing()

    async def leave() -> None:
        async with served(app) as client:  # waits until the connection has ended
            await refused_after(client)
            client.writer.write(request("POST"))
            async with asyncio.timeout(TIMEOUT_S):
                while app.requests < 2:
                    await asyncio.sleep(0.01)
            client.writer.transport.abort()

    asyncio.run(leave())
