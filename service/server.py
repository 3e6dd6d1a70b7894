"""Uvicorn, told to leave in order: not ready first, then no more work, then the end."""

import asyncio
import contextlib
import signal
import socket
from time import monotonic
from types import FrameType
from typing import Any

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from service.observability.logs import log_config
from service.runtime import Service
from service.settings import Settings

_LAST_REPLIES_S = 5


class Server(uvicorn.Server):
    """Serves an app of `create_app` until it is told to end.

    SIGTERM
        The service is not ready from now on, yet goes on serving for `drain_s`, so that whoever sends it work can take
        note; then it takes in no more, finishes what it has, and ends. A second SIGTERM skips the waiting.
    SIGINT
        The same without the waiting: there is a person at the keyboard.
    SIGHUP
        Read model package and API keys anew.
    """

    def __init__(self, app: FastAPI, settings: Settings, host: str, port: int) -> None:
        self._service: Service = app.state.service
        self._settings = settings
        self._leave_at: float | None = None
        super().__init__(
            uvicorn.Config(
                app,
                host=host,
                port=port,
                http=_protocol(settings.upload_s),
                loop="asyncio",  # not whichever is installed: what was tested and measured is what runs
                ws="none",
                log_config=log_config(settings.log_level),
                access_log=False,  # the app writes its own lines, which never hold a query
                server_header=False,
                # Whoever is still served then has had all the time there is.
                timeout_graceful_shutdown=round(settings.upload_s + settings.deadline_s + _LAST_REPLIES_S),
            )
        )

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and listen for SIGHUP once there is a model to replace."""
        await super().startup(sockets)
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, lambda: loop.run_in_executor(None, self._service.reload))

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Leave after the time to drain, or at once; at a third SIGINT, without the last replies."""
        waits = sig == signal.SIGTERM and self._leave_at is None and self.started
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self._leave_at = monotonic() + (self._settings.drain_s if waits else 0)
        self._service.drain()

    async def on_tick(self, counter: int) -> bool:
        """Whether to end now; asked ten times a second."""
        self.should_exit |= self._leave_at is not None and monotonic() >= self._leave_at
        return await super().on_tick(counter)


def _protocol(head_s: float) -> type[H11Protocol]:
    """Uvicorn's HTTP protocol, with two limits that it lacks: on a head that does not come, a reply that nobody reads.

    Such a connection costs a file and some memory for as long as its client likes, and no request is ever seen.
    """

    class Impatient(H11Protocol):
        """Hangs up on a connection that is `head_s` without a request under way."""

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            _give_up_unread(transport, head_s)
            self._idle = False
            self._look = self.loop.call_later(head_s, self._hang_up_if_idle)

        def connection_lost(self, exc: Exception | None) -> None:
            self._look.cancel()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self.cycle is not None and not self.cycle.response_complete:
                self._idle = False

        def _hang_up_if_idle(self) -> None:
            # Twice in a row, since the request before may have ended just now.
            under_way = self.cycle is not None and not self.cycle.response_complete
            if self._idle and not under_way:
                self.transport.abort()
                return
            self._idle = not under_way
            self._look = self.loop.call_later(head_s, self._hang_up_if_idle)

    return Impatient


def _give_up_unread(transport: asyncio.Transport, seconds: float) -> None:
    """Have the kernel end the connection once what was sent stays unread for so long."""
    connection: Any = transport.get_extra_info("socket")
    if connection is not None and hasattr(socket, "TCP_USER_TIMEOUT"):
        with contextlib.suppress(OSError):  # not over TCP
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(seconds * 1000))
