"""Uvicorn's HTTP protocol with limits on connections, on request heads that never end, and on slow readers."""

import asyncio
import logging
import socket
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from typing import Any, cast

import h11
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn import Config
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.flow_control import CLOSE_HEADER
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from service.api.middleware.security_headers import add_security_headers
from service.api.problem_responses import problem_response
from service.errors import MalformedRequest, Problem
from service.execution.admission import overloaded
from service.execution.work import current_work
from service.observability.trace import REQUEST_ID, new_request_id
from service.transport.connections import Connections
from service.transport.refusals import RefusalPace

_LOG = logging.getLogger("fetal_planes.connections")

_LINE_ENDS = b"\r\n"  # ignored before a request (RFC 9112, 2.2): some clients send them after an upload
_PIECE = 32 * 1024  # bytes of a reply that are handed to the connection at once, and that may wait there
_UNSENT = 128 * 1024  # bytes of a reply that the kernel keeps for one connection
_LINGER_S = 5.0  # seconds that a client may go on sending after a reply that ends its connection
_HALF_CLOSE_S = 1.0  # seconds from a request to the end of its client's side


class HttpProtocol(H11Protocol):
    """One connection.

    It is closed when it has had no request in progress for the time of a transfer, so also when a request's head or
    the end of a reply takes longer.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,  # the name that Uvicorn uses
        *,
        connections: Connections,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._app, self.app = cast(ASGIApp, self.app), cast(ASGI3Application, self._run)
        self._connections = connections
        self._limits = connections.time_limits
        self._lingers = False  # what the client still sends is dropped
        self._half_closed = False  # the client sends nothing more and still reads
        self._was_idle = False
        self._closes = False  # the reply in progress ends the connection
        self._cut_short = False  # it has been sent while the client still sends its upload

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Count the connection; refuse it with 503 at the limit."""
        super().connection_made(transport)
        self._touched = self.loop.time()
        self._check = self.loop.call_later(self._limits.transfer_s, self._abort_if_idle)
        self._pace = RefusalPace(self.loop, self.flow, self._limits.transfer_s / 4)
        transport.set_write_buffer_limits(high=_PIECE)
        # The kernel ends a connection whose client acknowledges nothing, and holds little of a reply.
        _set_option(transport, "TCP_USER_TIMEOUT", round(self._limits.transfer_s * 1000))
        _set_option(transport, "TCP_NOTSENT_LOWAT", _UNSENT)
        self._connections.enter(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Count the connection no more."""
        self._check.cancel()
        self._pace.resume()
        self._connections.leave(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what the client sent, or drop it after a refusal."""
        if self._lingers:
            self._connections.heard(self)
            return
        self._touched = self.loop.time()
        if self.conn.their_state is h11.IDLE and not self.conn.trailing_data[0]:
            data = data.lstrip(_LINE_ENDS)
        super().data_received(data)
        self._pause_if_refused()
        if self._in_progress():
            self._was_idle = False
            self._connections.busy(self)

    def eof_received(self) -> bool:  # type: ignore[override]  # asyncio reads the result
        """Return whether the connection stays open: its client may have shut the sending side only (RFC 9112, 9.6).

        A client that leaves looks the same. So one that ends its side within a second of its request gets its answer;
        one that ends it later has left, and its work stops.
        """
        whole = self._in_progress() and self.conn.their_state is not h11.SEND_BODY
        self._half_closed = whole and not self._lingers and self.loop.time() - self._touched < _HALF_CLOSE_S
        return self._half_closed

    def on_response_complete(self) -> None:
        """Wait for the next request, or close where the client sends none."""
        self._touched = self.loop.time()
        following = self.conn.trailing_data[0]
        if following and following[:1] in _LINE_ENDS:
            self.conn._receive_buffer.maybe_extract_at_most(len(following) - len(following.lstrip(_LINE_ENDS)))
        super().on_response_complete()
        self._pause_if_refused()
        if self._in_progress() or self.transport.is_closing():
            return
        self._connections.idle(self)
        if self._half_closed:
            self.transport.close()

    def send_400_response(self, msg: str) -> None:
        """Refuse bytes that are not HTTP; cut the reply to the request before them off where it has begun."""
        started = self._in_progress() and self.cycle.response_started
        if self._in_progress():  # the app finds its client gone
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if started:
            self.transport.close()
        else:
            self._refuse(MalformedRequest(msg))

    def refuse(self) -> None:
        """Answer 503 to a request that may be on its way, and end the connection."""
        self._refuse(overloaded())

    def close(self) -> None:
        """Close the connection at once."""
        self.transport.abort()

    def _in_progress(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _pause_if_refused(self) -> None:
        """Let the kernel hold the next request for a moment where the last one was refused and has been read."""
        if self._pace.pauses and self.conn.their_state is h11.IDLE and not self._lingers:
            self._pace.pause()

    def _drop_upload(self) -> None:
        self.cycle.body.clear()

    def _abort_if_idle(self) -> None:
        # Two idle checks in a row close the connection: the last request may have ended just before the first.
        was_idle, self._was_idle = self._was_idle, not self._in_progress()
        if was_idle and self._was_idle:
            self.transport.abort()
        else:
            self._check = self.loop.call_later(self._limits.transfer_s, self._abort_if_idle)

    async def _run(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the app; where its reply ends the connection, wait until the client has stopped sending."""
        self._cut_short = False
        await self._app(scope, receive, partial(self._send, scope, send))
        if self._cut_short:
            self.cycle.disconnected = True  # nothing remains to be sent
            self._linger()

    async def _send(self, scope: Scope, send: Send, message: Message) -> None:
        """Send a message as fast as the client reads, and abort the connection where that takes too long."""
        if message["type"] == "http.response.start":
            headers = [*message.get("headers", []), *self._close_header()]
            self._closes = _closes(scope, headers) or not self.cycle.keep_alive
            if message["status"] == HTTPStatus.SERVICE_UNAVAILABLE and scope["method"] == "POST":
                await self._pace.hold(self._drop_upload)
            await send({**message, "headers": headers})
            return
        body, more = message.get("body", b""), message.get("more_body", False)
        # Uvicorn would close the connection after the last message, while the client may still send its upload.
        self._cut_short = not more and self._closes and self.conn.their_state is h11.SEND_BODY
        try:
            async with asyncio.timeout(self._limits.seconds(len(body))):
                for start in range(0, max(1, len(body)), _PIECE):
                    more_follows = more or self._cut_short or start + _PIECE < len(body)
                    piece = body[start : start + _PIECE]
                    await send({"type": "http.response.body", "body": piece, "more_body": more_follows})
        except TimeoutError:
            _LOG.info(
                "the reply was cut off: its client reads too slowly", extra={"request_id": current_work().request_id}
            )
            self.close()

    def _close_header(self) -> list[tuple[bytes, bytes]]:
        # A client that waits for `100 Continue` may or may not send its upload after another answer.
        closes = self._connections.crowded or self.conn.they_are_waiting_for_100_continue
        return [CLOSE_HEADER] if closes else []

    def _refuse(self, problem: Problem) -> None:
        """Write a problem without the app, and end the connection."""
        request_id = new_request_id()
        reply = problem_response(problem, request_id)
        add_security_headers(reply.headers)
        reply.headers.update({REQUEST_ID: request_id, "Connection": "close"})
        status = HTTPStatus(reply.status_code)
        lines = [b"HTTP/1.1 %d %s" % (status, status.phrase.encode())]
        lines += [name + b": " + value for name, value in [*self.server_state.default_headers, *reply.raw_headers]]
        self.transport.write(b"\r\n".join([*lines, b"", bytes(reply.body)]))
        self._linger()

    def _linger(self) -> None:
        """Send nothing more, and drop what the client sends until it leaves (RFC 9112, 9.6).

        Closing the connection at once could cost the client its reply: the TCP reset, with which the kernel answers
        bytes for a closed connection, overtakes what the client has not read.
        """
        self._lingers = True
        self._unset_keepalive_if_required()
        self.transport.write_eof()
        self.flow.resume_reading()
        self._check.cancel()
        self._check = self.loop.call_later(_LINGER_S, self.close)


def _closes(scope: Scope, reply_headers: list[tuple[bytes, bytes]]) -> bool:
    """Return whether the client or the app ends the connection after this reply."""
    values = [value.lower() for name, value in [*scope["headers"], *reply_headers] if name.lower() == b"connection"]
    return scope["http_version"] == "1.0" or any(b"close" in value for value in values)


def _set_option(transport: asyncio.Transport, name: str, value: int) -> None:
    """Set a TCP option of the connection, where the system has it."""
    connection: Any = transport.get_extra_info("socket")
    if connection is not None and hasattr(socket, name):
        with suppress(OSError):  # a Unix socket has none
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
