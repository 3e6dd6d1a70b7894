"""Accept connections while the process has files for them."""

import asyncio
import logging
import socket
from collections.abc import Callable
from contextlib import suppress

from service.transport.connections import Connections, OncePerSecond

_BACKLOG = 2048  # connections that wait in the kernel
_AT_ONCE = 16  # connections accepted in one step of the event loop
_PAUSE_S = 0.05


class Acceptor:
    """Accepts the connections of one listening socket, in place of asyncio.

    asyncio accepts as many connections as come. At the limit on open files it logs every try, thousands per second.
    """

    def __init__(
        self, listener: socket.socket, protocol: Callable[[], asyncio.Protocol], connections: Connections
    ) -> None:
        self._listener = listener
        self._protocol = protocol
        self._connections = connections
        self._loop = asyncio.get_running_loop()
        self._connecting: set[asyncio.Task[None]] = set()
        self._resume: asyncio.TimerHandle | None = None
        self._warn = OncePerSecond()
        listener.setblocking(False)
        listener.listen(_BACKLOG)
        self._listen()

    def close(self) -> None:
        """Accept no further connection."""
        if self._resume is not None:
            self._resume.cancel()
        self._loop.remove_reader(self._listener)
        self._listener.close()

    def _listen(self) -> None:
        self._loop.add_reader(self._listener, self._accept)

    def _accept(self) -> None:
        for _ in range(_AT_ONCE - len(self._connecting)):
            if self._connections.full:
                self._pause()
                return
            try:
                connection, _ = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                self._warn(logging.ERROR, f"no connection can be accepted: {error.strerror}")
                self._pause()
                return
            task = self._loop.create_task(self._connect(connection))
            self._connecting.add(task)
            task.add_done_callback(self._connecting.discard)

    def _pause(self) -> None:
        """Let the kernel hold the connections that come."""
        self._loop.remove_reader(self._listener)
        self._resume = self._loop.call_later(_PAUSE_S, self._listen)

    async def _connect(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        with suppress(OSError):  # the client has left
            await self._loop.connect_accepted_socket(self._protocol, connection)
