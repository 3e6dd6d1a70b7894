"""Uvicorn with an orderly shutdown, and with limits on its connections."""

import asyncio
import signal
import socket
from functools import partial
from time import monotonic
from types import FrameType
from typing import cast

import uvicorn
from fastapi import FastAPI

from service.observability.logs import log_config
from service.process_setup import exempt_startup_objects
from service.runtime import Runtime
from service.settings import Settings
from service.transport.acceptor import Acceptor
from service.transport.connections import Connections, TimeLimits, free_files
from service.transport.protocol import HttpProtocol

_LAST_REPLIES_S = 5


class Server(uvicorn.Server):
    """Serves an app of `create_app` until a signal ends it.

    SIGTERM
        The service reports not ready and keeps serving for `drain_s`, so that load balancers notice. Then it accepts no
        further requests, finishes those in progress, and exits. A second SIGTERM skips the draining.
    SIGINT
        The same without draining: a person waits at the keyboard.
    SIGHUP
        Read the model package and the API keys again.
    """

    def __init__(self, app: FastAPI, settings: Settings, host: str, port: int) -> None:
        self._runtime: Runtime = app.state.runtime
        self._settings = settings
        self._exit_at: float | None = None
        self._connections = Connections(TimeLimits(settings.upload_s, settings.max_upload_bytes))
        self._acceptors: list[Acceptor] = []
        super().__init__(
            uvicorn.Config(
                app,
                host=host,
                port=port,
                http=cast(type[asyncio.Protocol], partial(HttpProtocol, connections=self._connections)),
                loop="asyncio",  # not whichever loop is installed: tests and measurements use this one
                ws="none",
                log_config=log_config(settings.log_level),
                access_log=False,  # the app logs requests itself, without their query
                server_header=False,
                # The longest time that an admitted request can still take.
                timeout_graceful_shutdown=round(settings.upload_s + settings.deadline_s + _LAST_REPLIES_S),
            )
        )

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then handle SIGHUP: before this point no model is loaded that a reload could replace."""
        await super().startup(sockets)
        loop = asyncio.get_running_loop()
        exempt_startup_objects()
        self._connections.free_files = free_files()
        for listener in [listener for server in self.servers for listener in server.sockets]:
            loop.remove_reader(listener.fileno())  # asyncio accepts no further connections
            self._acceptors.append(Acceptor(listener.dup(), self._protocol, self._connections))
        loop.add_signal_handler(signal.SIGHUP, lambda: loop.run_in_executor(None, self._runtime.reload))

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept no further connections, answer the requests in progress, and stop the app."""
        for acceptor in self._acceptors:
            acceptor.close()
        await super().shutdown(sockets)

    def _protocol(self) -> HttpProtocol:
        return HttpProtocol(self.config, self.server_state, self.lifespan.state, connections=self._connections)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Schedule the exit: after draining, or at once. A third SIGINT does not wait for the last replies."""
        drains = sig == signal.SIGTERM and self._exit_at is None and self.started
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self._exit_at = monotonic() + (self._settings.drain_s if drains else 0)
        self._runtime.drain()

    async def on_tick(self, counter: int) -> bool:
        """Return whether to exit now; Uvicorn calls this ten times per second."""
        self.should_exit |= self._exit_at is not None and monotonic() >= self._exit_at
        return await super().on_tick(counter)
