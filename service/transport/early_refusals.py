"""Refuse uploads in the callback that completes their heads, without a task and without the app."""

import asyncio
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import Any, Protocol, cast

import h11
from starlette.responses import Response
from starlette.types import Scope
from uvicorn import Config
from uvicorn.protocols.http.h11_impl import STATUS_PHRASES, RequestResponseCycle
from uvicorn.server import ServerState

from service.transport.connections import Connections
from service.transport.protocol import HttpProtocol


class Refusal(Protocol):
    """A refused request."""

    reply: Response  # 503; it does not end the connection

    def end(self) -> None:
        """Note that the reply is sent, or that its client has left."""


Refuse = Callable[[Scope], Refusal | None]
"""Returns the refusal of a request, by its head alone; None for one that the app must answer."""


class RefusingProtocol(HttpProtocol):
    """One connection of a service that may be at its limit."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        connections: Connections,
        refuse: Refuse,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop, connections=connections)
        self._refuse_early = refuse
        self._refusal: Refusal | None = None

    def _should_upgrade(self) -> bool:
        """Return whether Uvicorn leaves the request to `handle_websocket_upgrade` instead of the app.

        Uvicorn asks when it has read a request's head. The service speaks no WebSocket, so this step is free. A server
        may ignore `Upgrade` (RFC 9110, 7.8), which Java's client always sends.
        """
        # In both cases the app must answer: its reply ends the connection, or waits until the client reads.
        other_end = self._connections.crowded or self.flow.write_paused
        self._refusal = None if other_end else self._refuse_early(cast(Scope, self.scope))
        return self._refusal is not None

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """Refuse a request: at once, or later where its client asks again too early."""
        refusal, self._refusal = self._refusal, None
        assert refusal is not None
        self.cycle = RequestResponseCycle(
            scope=self.scope,
            conn=self.conn,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            on_response=self.on_response_complete,
        )
        self.handle_events()  # what has come of the upload
        self._drop_upload()
        if hold_s := self._pace.hold_s:
            self.flow.pause_reading()
            self.loop.call_later(hold_s, partial(self._send_refusal, refusal))
        else:
            self._send_refusal(refusal)

    def _send_refusal(self, refusal: Refusal) -> None:
        """Send a refusal, unless its client has left."""
        refusal.end()
        self._pace.note()
        cycle = self.cycle
        cycle.response_started = cycle.response_complete = True
        if cycle.disconnected:
            return
        reply, status = refusal.reply, HTTPStatus(refusal.reply.status_code)
        headers = [*self.server_state.default_headers, *reply.raw_headers]
        head = self.conn.send(h11.Response(status_code=status, headers=headers, reason=STATUS_PHRASES[status]))
        body = self.conn.send(h11.Data(data=bytes(reply.body)))
        self.transport.write((head or b"") + (body or b""))
        self.conn.send(h11.EndOfMessage())
        if cycle.keep_alive:
            self.on_response_complete()
        else:  # the server has begun to stop
            self._linger()
