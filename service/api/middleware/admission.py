"""Admission of uploads: refuses what exceeds the limits, enforces deadlines, and stops work when the client leaves."""

import asyncio
import math
import re
from contextlib import suppress
from functools import partial

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.content_coding import decoded
from service.api.problem_responses import problem_response_for
from service.errors import BadParameter, DeadlinePassed, Problem, UploadTooSlow
from service.execution.admission import Slot
from service.execution.work import StopReason, WorkStopped, current_work
from service.runtime import Runtime

DEADLINE_HEADER = "X-Deadline-Ms"

_CODED = (b"content-encoding", b"content-length")  # headers that do not describe a decompressed body
_SLOW_UPLOAD_S = 0.5  # an upload that takes longer releases its slot until it is complete


class AdmissionMiddleware:
    """Middleware around each POST: admission, deadlines, and cancellation when the client leaves."""

    def __init__(self, app: ASGIApp, runtime: Runtime) -> None:
        self.app = app
        self.runtime = runtime
        self.settings = runtime.settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection; only uploads (POST) pass admission."""
        if scope["type"] != "http" or scope["method"] != "POST":
            await self.app(scope, receive, send)
            return

        # 1. Decide from the request's head alone: nothing of the body has been read yet.
        headers = Headers(scope=scope)
        declared = declared_bytes(headers)
        try:
            client_s = read_deadline(headers.get(DEADLINE_HEADER))
            body = decoded(headers, receive)
            slot = self.runtime.admission.enter(declared)
        except Problem as refusal:
            # The server drops an upload of moderate length, and the connection can serve another request.
            if not 0 < declared <= self.settings.max_upload_bytes:
                refusal.headers["Connection"] = "close"
            await problem_response_for(refusal, scope)(scope, receive, send)
            return
        if body is not receive:  # the route reads a body of unknown length
            scope["headers"] = [header for header in scope["headers"] if header[0] not in _CODED]
        # An upload of n times the size limit of one frame gets n times the upload time.
        upload_s = self.settings.upload_s * max(1, math.ceil(declared / self.settings.max_upload_bytes))

        # 2. Run the route. Whatever ends the request, stop watching the client, free the slot, and record the work.
        lifecycle = RequestLifecycle(body, slot, upload_s, self.settings.deadline_s, client_s)
        try:
            await self.app(scope, lifecycle.receive, partial(lifecycle.send, send))
        except WorkStopped as stopped:
            if stopped.reason is StopReason.CLIENT_LEFT:
                raise ClientDisconnect from None
            if not lifecycle.reply_begun:  # otherwise the server cuts the unfinished reply off
                passed = DeadlinePassed(DeadlinePassed.meaning, headers={"Connection": "close"})
                await problem_response_for(passed, scope)(scope, receive, send)
        finally:
            lifecycle.end()
            self.runtime.record(lifecycle.work)


def declared_bytes(headers: Headers) -> int:
    """Return the length of an upload as its head declares it; 0 where it is unknown."""
    length = headers.get("content-length", "")
    return int(length) if re.fullmatch("[0-9]{1,18}", length) else 0


def read_deadline(header: str | None) -> float:
    """Return the client's deadline in seconds; infinity without the header. Raises `BadParameter`."""
    if header is None:
        return math.inf
    if not re.fullmatch("[0-9]{1,9}", header):
        raise BadParameter(f"The header `{DEADLINE_HEADER}` must be a whole number of milliseconds.")
    return int(header) / 1000


class RequestLifecycle:
    """One upload, from the request's head to the end of its reply.

    `upload_s` limits the upload, from the request's head; `deadline_s` the time from its end to the first byte of the
    reply; `client_s` both together, as the client set it.
    """

    def __init__(self, receive: Receive, slot: Slot, upload_s: float, deadline_s: float, client_s: float) -> None:
        self.work = current_work()
        self.reply_begun = False
        self._loop = asyncio.get_running_loop()
        self._receive = receive
        self._slot = slot
        self._head: list[Message] = []
        self._deadline_s = deadline_s
        self._upload_deadline = self._loop.time() + upload_s
        self._client_deadline = self._loop.time() + client_s
        # One timer at a time: first it releases the slot of a slow upload, later it enforces the deadline.
        self._timer = self._loop.call_later(_SLOW_UPLOAD_S, slot.release)
        self._client_left: asyncio.Future[Message] | None = None

    async def receive(self) -> Message:
        """Return the next part of the upload; after the last part, wait until the client leaves.

        Raises `UploadTooSlow` after the upload's time limit, `WorkStopped` after the client's deadline, and
        `Overloaded` if the upload does not fit into memory next to the other uploads.
        """
        if self._client_left is not None:
            return await asyncio.shield(self._client_left)
        message = await self._receive_in_time()
        if message["type"] != "http.request":
            return message
        self._slot.reserve(len(message.get("body", b"")))
        if not message.get("more_body"):  # the upload is complete
            self._timer.cancel()
            self._slot.acquire()  # a slow upload released it and may find none free: 503
            deadline = min(self._client_deadline, self._loop.time() + self._deadline_s)
            self._timer = self._loop.call_at(deadline, self.work.stop, StopReason.DEADLINE)
            self._client_left = asyncio.ensure_future(self._watch_client())
        return message

    async def send(self, send: Send, message: Message) -> None:
        """Send a message. The head of the reply waits for the first byte of its body.

        Until then a passed deadline can still become a 504. It is met once the reply begins, however long the rest of
        the reply takes.
        """
        if message["type"] == "http.response.start":
            self._head.append(message)
            return
        if not self.reply_begun and not message.get("more_body"):  # the route has ended, and its hold on the upload
            self._slot.hold_reply(len(message.get("body", b"")))
        self.reply_begun = True
        self._timer.cancel()
        while self._head:
            await send(self._head.pop())
        await send(message)

    def end(self) -> None:
        """Stop watching the client and free the slot."""
        self._timer.cancel()
        if self._client_left is not None:
            self._client_left.cancel()
        self._slot.close()

    async def _receive_in_time(self) -> Message:
        try:
            async with asyncio.timeout_at(min(self._upload_deadline, self._client_deadline)):
                return await self._receive()
        except TimeoutError:
            if self._client_deadline <= self._upload_deadline:
                raise WorkStopped(StopReason.DEADLINE) from None
            raise UploadTooSlow(UploadTooSlow.meaning, headers={"Connection": "close"}) from None

    async def _watch_client(self) -> Message:
        """Stop the work when the client disconnects."""
        with suppress(asyncio.CancelledError):
            while (message := await self._receive())["type"] != "http.disconnect":
                pass
            self.work.stop(StopReason.CLIENT_LEFT)
            return message
        return {"type": "http.disconnect"}
