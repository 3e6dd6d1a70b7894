"""Stands before every upload: lets it in or refuses it, keeps its time, and ends its work when nobody waits for it."""

import asyncio
import math
from contextlib import suppress
from typing import NamedTuple

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.problem_responses import Refusal, problem_response_for
from service.errors import BadParameter, DeadlinePassed, Overloaded, UploadTooSlow
from service.execution.admission import Admission, Slot, overloaded
from service.execution.work import StopReason, Work, WorkStopped, work_context
from service.observability.metrics import Metrics
from service.settings import Settings

DEADLINE_HEADER = "X-Deadline-Ms"

_PATIENCE_S = 0.5  # an upload that takes longer to come waits for itself, and holds up nobody else
_MAX_DIGITS = 9
_FULL = Refusal(overloaded())


class AdmissionMiddleware:
    """Middleware round each POST: admission, deadline, and an eye on the client."""

    def __init__(self, app: ASGIApp, settings: Settings, admission: Admission, metrics: Metrics) -> None:
        self.app = app
        self.settings = settings
        self.admission = admission
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection of any ASGI kind; only uploads are watched."""
        if scope["type"] != "http" or scope["method"] != "POST":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        declared = _declared(headers)
        try:
            times = self._times(headers.get(DEADLINE_HEADER), declared)
            place = self.admission.enter(declared)
        except Overloaded:
            await _FULL(scope, send, closes=not self._is_modest(declared))
            return
        except BadParameter as problem:
            if not self._is_modest(declared):
                problem.headers["Connection"] = "close"
            await problem_response_for(problem, scope)(scope, receive, send)
            return
        work = Work(scope["state"]["request_id"])
        visit = RequestLifecycle(receive, place, times, work)
        begun = False
        head: list[Message] = []

        async def send_noting(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                head.append(message)  # kept back until there is something to say: the deadline may pass before it
                return
            begun = True
            visit.answered()
            while head:
                await send(head.pop())
            await send(message)

        try:
            with work_context(visit.run):
                await self.app(scope, visit.receive, send_noting)
        except WorkStopped as stopped:
            if stopped.reason is StopReason.CLIENT_LEFT:
                raise ClientDisconnect from None
            if not begun:  # else the reply is left unfinished, and the server breaks it off
                passed = DeadlinePassed(DeadlinePassed.meaning, headers={"Connection": "close"})
                await problem_response_for(passed, scope)(scope, receive, send)
        finally:
            visit.end()
            self.metrics.ran(visit.run)

    def _times(self, deadline_header: str | None, declared: int) -> "Timeouts":
        shares = math.ceil(declared / self.settings.max_upload_bytes) or 1
        return Timeouts(self.settings.upload_s * shares, self.settings.deadline_s, read_deadline(deadline_header))

    def _is_modest(self, declared: int) -> bool:
        """Whether a connection is worth keeping on which an upload of this length is refused unread.

        The server reads the rest of a modest upload, and drops it: to hang up on a client that still writes might cost
        it the reply, as the reset that it gets overtakes what it has not read yet. On others we hang up all the same.
        """
        return 0 < declared <= self.settings.max_upload_bytes


class Timeouts(NamedTuple):
    """How long an upload may take to come, and its answer from then; and both together, as the client has it."""

    upload_s: float
    deadline_s: float
    client_s: float


def read_deadline(header: str | None) -> float:
    """Seconds that the client gives the service; infinite where it does not say.

    Raises
    ------
    BadParameter
        The header is not a whole number of milliseconds.
    """
    if header is None:
        return math.inf
    if not (header.isascii() and header.isdecimal() and len(header) <= _MAX_DIGITS):
        raise BadParameter(f"The header {DEADLINE_HEADER!r} takes a whole number of milliseconds.")
    return int(header) / 1000


def _declared(headers: Headers) -> int:
    length = headers.get("content-length", "")
    return int(length) if length.isascii() and length.isdecimal() and len(length) < 19 else 0


class RequestLifecycle:
    """One upload from its head to its answer."""

    def __init__(self, receive: Receive, place: Slot, times: Timeouts, work: Work) -> None:
        self.run = work
        self._loop = asyncio.get_running_loop()
        self._receive = receive
        self._place = place
        self._deadline_s = times.deadline_s
        self._slow_at = self._loop.time() + times.upload_s
        self._client_at = self._loop.time() + times.client_s
        self._timer = self._loop.call_later(_PATIENCE_S, place.release)
        self._gone: asyncio.Future[Message] | None = None

    async def receive(self) -> Message:
        """The upload's next piece; once it is whole, nothing until the client leaves.

        Raises
        ------
        UploadTooSlow, Stopped
            It did not come in time.
        Overloaded
            It does not fit any more beside what has come meanwhile.
        """
        if self._gone is not None:
            return await asyncio.shield(self._gone)
        message = await self._in_time()
        if message["type"] == "http.request":
            self._place.reserve(len(message.get("body", b"")))
            if not message.get("more_body"):
                self._whole()
        return message

    def answered(self) -> None:
        """The answer begins: the deadline is kept, however long the rest of it may be."""
        self._timer.cancel()

    def end(self) -> None:
        """Stop watching, and leave the place to another."""
        self._timer.cancel()
        if self._gone is not None:
            self._gone.cancel()
        self._place.close()

    async def _in_time(self) -> Message:
        try:
            async with asyncio.timeout_at(min(self._slow_at, self._client_at)):
                return await self._receive()
        except TimeoutError:
            if self._client_at <= self._slow_at:
                raise WorkStopped(StopReason.DEADLINE) from None
            raise UploadTooSlow(UploadTooSlow.meaning, headers={"Connection": "close"}) from None

    def _whole(self) -> None:
        self._timer.cancel()
        self._place.acquire()
        deadline = min(self._client_at, self._loop.time() + self._deadline_s)
        self._timer = self._loop.call_at(deadline, self.run.stop, StopReason.DEADLINE)
        self._gone = asyncio.ensure_future(self._watch())

    async def _watch(self) -> Message:
        with suppress(asyncio.CancelledError):
            while (message := await self._receive())["type"] != "http.disconnect":
                pass
            self.run.stop(StopReason.CLIENT_LEFT)
            return message
        return {"type": "http.disconnect"}
