"""The pace at which the service refuses a client that asks again at once, before its app and in it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple

import pytest
import uvicorn
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from service.transport.connections import Connections, TimeLimits
from service.transport.early_refusals import RefusingProtocol
from tests.support.waiting import TIMEOUT_S, until


class Refused:
    """A refusal before the app."""

    def __init__(self) -> None:
        self.reply, self.ended = Response(status_code=503), False

    def end(self) -> None:
        assert not self.ended
        self.ended = True


class Refusing:
    """An app that refuses every upload with 503, `early` before it is called, and counts the requests."""

    def __init__(self, *, early: bool = False) -> None:
        self.requests, self.early = 0, early
        self.refused: list[Refused] = []

    def refuse(self, scope: Scope) -> Refused | None:
        if not self.early or scope["method"] != "POST":
            return None
        self.requests += 1
        self.refused.append(Refused())
        return self.refused[-1]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
        assert not self.early or scope["method"] != "POST"
        self.requests += 1
        await Response(status_code=503 if scope["method"] == "POST" else 200)(scope, receive, send)


class Served(NamedTuple):
    """A connection to an app behind the protocol of the service."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    protocol: RefusingProtocol


@asynccontextmanager
async def served(app: Refusing) -> AsyncIterator[Served]:
    made: list[RefusingProtocol] = []
    connections = Connections(TimeLimits(20, 2**20))
    config = uvicorn.Config(app, lifespan="off", log_config=None)
    config.load()
    state = ServerState()

    def protocol() -> RefusingProtocol:
        made.append(RefusingProtocol(config, state, {}, connections=connections, refuse=app.refuse))
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


@pytest.fixture(params=[False, True], ids=["app", "early"])
def app(request: pytest.FixtureRequest) -> Refusing:
    return Refusing(early=request.param)


@pytest.mark.parametrize(("method", "most"), [("POST", 3), ("GET", 10**6)])
def test_a_client_that_asks_again_at_once_is_refused_once_per_second(app: Refusing, method: str, most: int) -> None:
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


async def ask_too_early(client: Served, app: Refusing) -> None:
    """Send an upload right after a refusal; return while its own refusal is held."""
    await refused_after(client)
    client.writer.write(request("POST"))
    await until(lambda: app.requests >= 2)


def test_only_a_client_that_comes_back_too_early_waits_for_its_refusal(app: Refusing) -> None:
    async def ask() -> tuple[float, float, float]:
        async with served(app) as client:
            first, early = await refused_after(client), await refused_after(client)
            await asyncio.sleep(1.01)  # as `Retry-After` asks
            return first, early, await refused_after(client)

    first, early, polite = asyncio.run(ask())
    assert early > 0.9
    assert max(first, polite) < 0.4


def test_a_held_refusal_keeps_nothing_of_its_upload(app: Refusing) -> None:
    async def ask() -> None:
        async with served(app) as client:
            await ask_too_early(client, app)
            await asyncio.sleep(0.1)
            cycle = client.protocol.cycle
            assert not cycle.response_complete
            assert client.protocol.flow.read_paused
            assert not cycle.body

    asyncio.run(ask())


def test_a_client_may_leave_while_its_refusal_is_held(app: Refusing) -> None:
    async def leave() -> None:
        async with served(app) as client:  # waits until the connection has ended
            await ask_too_early(client, app)
            client.writer.transport.abort()
        if app.early:
            await until(lambda: app.refused[1].ended)  # the log counts it

    asyncio.run(leave())


def test_all_refusals_of_a_pipeline_are_sent(app: Refusing) -> None:
    async def ask() -> list[bytes]:
        async with served(app) as client:
            client.writer.write(request("POST") + request("POST") + request("GET"))
            return [(await client.reader.readuntil(b"\r\n\r\n"))[:12] for _ in range(3)]

    assert asyncio.run(ask()) == [b"HTTP/1.1 503", b"HTTP/1.1 503", b"HTTP/1.1 200"]


def test_an_upload_that_begins_with_a_line_end_is_read_to_its_end(app: Refusing) -> None:
    async def ask() -> bytes:
        async with served(app) as client:
            client.writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n\r\n\r\n" + request("GET"))
            await client.reader.readuntil(b"\r\n\r\n")
            return (await client.reader.readuntil(b"\r\n\r\n"))[:12]

    assert asyncio.run(ask()) == b"HTTP/1.1 200"


def test_a_held_refusal_is_sent_although_the_server_stops(app: Refusing) -> None:
    async def ask() -> bytes:
        async with served(app) as client:
            await ask_too_early(client, app)
            client.protocol.shutdown()
            async with asyncio.timeout(TIMEOUT_S):
                return await client.reader.read()  # until the server ends the connection

    assert asyncio.run(ask()).startswith(b"HTTP/1.1 503")
