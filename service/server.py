"""Uvicorn with an orderly shutdown, and with limits on its connections."""

import asyncio
import logging
import os
import signal
import socket
import sys
import threading
from functools import partial
from ipaddress import ip_address
from time import monotonic
from types import FrameType
from typing import cast

import uvicorn
from fastapi import FastAPI

from service.api.middleware.early_refusals import EarlyRefusals
from service.observability.logs import log_config
from service.process_setup import favor_event_loop
from service.runtime import Runtime
from service.settings import Settings
from service.transport.acceptor import Acceptor
from service.transport.connections import Connections, TimeLimits, free_files
from service.transport.early_refusals import RefusingProtocol

_LOG = logging.getLogger("fetal_planes.service")
_LAST_REPLIES_S = 5
_UNLOAD_S = 5  # from the last reply to the end of the process


class Server(uvicorn.Server):
    """Serves an app of `create_app` until a signal ends it.

    SIGTERM
        The service reports not ready and keeps serving for `drain_s`, so that load balancers notice. Then it accepts no
        further requests, finishes those in progress, and exits. A second SIGTERM skips the draining. A service that is
        not ready yet ends at once; one that does not finish in time is ended.
    SIGINT
        The same without draining: a person waits at the keyboard.
    SIGHUP
        Read the model package and the API keys again. Before the service is ready, the reload waits until it is;
        several signals are one reload.
    """

    def __init__(self, app: FastAPI, settings: Settings, host: str, port: int) -> None:
        self._runtime: Runtime = app.state.runtime
        self._settings = settings
        self._exit_at: float | None = None
        self._reload_wanted = False
        self._reload: threading.Thread | None = None
        self._connections = Connections(TimeLimits(settings.upload_s, settings.max_upload_bytes))
        self._new_protocol = partial(
            RefusingProtocol, connections=self._connections, refuse=EarlyRefusals(self._runtime).refuse
        )
        self._acceptors: list[Acceptor] = []
        super().__init__(
            uvicorn.Config(
                app,
                host=host,
                port=port,
                http=cast(type[asyncio.Protocol], self._new_protocol),
                loop="asyncio",  # not whichever loop is installed: tests and measurements use this one
                ws="none",
                workers=1,  # not WEB_CONCURRENCY, which is for other servers of this environment
                log_config=log_config(settings.log_level),
                access_log=False,  # the app logs requests itself, without their query
                server_header=False,
                # The longest time that an admitted request can still take.
                timeout_graceful_shutdown=round(settings.upload_s + settings.deadline_s + _LAST_REPLIES_S),
            )
        )

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start. A Python handler of SIGHUP outlives the event loop, so that the signal never ends the process."""
        signal.signal(signal.SIGHUP, self._request_reload)
        await super().startup(sockets)
        loop = asyncio.get_running_loop()
        favor_event_loop()
        self._connections.free_files = free_files()
        for listener in [listener for server in self.servers for listener in server.sockets]:
            loop.remove_reader(listener.fileno())  # asyncio accepts no further connections
            self._acceptors.append(Acceptor(listener.dup(), self._protocol, self._connections))

        if sys.stderr.isatty() and (address := self._address()):
            sys.stderr.write(f"Open {address}\n")

    def _address(self) -> str | None:
        """Return an address that a browser on this machine opens; None for Unix sockets and a failed start."""
        names = [listener.getsockname() for server in self.servers for listener in server.sockets]
        places = [name for name in names if isinstance(name, tuple)]
        if not places:
            return None
        address, port = ip_address(places[0][0]), places[0][1]
        if address.is_unspecified:  # every address of this machine
            return f"http://127.0.0.1:{port}"
        host = f"[{address}]" if address.version == 6 else address
        return f"http://{host}:{port}"

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept no further connections, answer the requests in progress, and stop the app."""
        for acceptor in self._acceptors:
            acceptor.close()
        await super().shutdown(sockets)

    def _protocol(self) -> RefusingProtocol:
        return self._new_protocol(self.config, self.server_state, self.lifespan.state)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Schedule the exit: after draining, or at once. A third SIGINT does not wait for the last replies."""
        if not self.started:
            _LOG.info("stopped before the service was ready")
            os._exit(0)  # the model package may load for a long time, in a thread that nothing ends
        drains = sig == signal.SIGTERM and self._exit_at is None
        self.force_exit = self.should_exit and sig == signal.SIGINT
        if self._exit_at is None:
            self._limit_exit()
        self._exit_at = monotonic() + (self._settings.drain_s if drains else 0)
        self._runtime.drain()

    async def on_tick(self, counter: int) -> bool:
        """Return whether to exit now; Uvicorn calls this ten times per second once the service is ready."""
        self.should_exit |= self._exit_at is not None and monotonic() >= self._exit_at
        if self._reload_wanted and not self._runtime.draining and not (self._reload and self._reload.is_alive()):
            self._reload_wanted = False
            # A daemon thread: the process can exit although a reload hangs.
            self._reload = threading.Thread(target=self._runtime.reload, name="reload", daemon=True)
            self._reload.start()
        return await super().on_tick(counter)

    def _request_reload(self, sig: int, frame: FrameType | None) -> None:
        self._reload_wanted = True

    def _limit_exit(self) -> None:
        """End the process where work in a thread keeps it from exiting in time."""
        seconds = self._settings.drain_s + (self.config.timeout_graceful_shutdown or 0) + _UNLOAD_S
        timer = threading.Timer(seconds, _end_process)
        timer.daemon = True
        timer.start()


def _end_process() -> None:
    _LOG.error("ended by force: work in progress did not stop")
    os._exit(1)
