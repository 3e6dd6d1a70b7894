"""Slow down a client that asks again at once after it was refused."""

import asyncio
from collections.abc import Callable

from uvicorn.protocols.http.flow_control import FlowControl

_PAUSE_S = 0.1  # seconds after a refusal until the next request of its connection is read
_EARLY_S = 1.0  # seconds after a refusal within which the next one is held: `Retry-After` of an overload


class RefusalPace:
    """The pace of refusals (503) on one connection.

    Clients that ask again at once, against `Retry-After`, would take the cores from the answers: each refusal costs the
    service a read upload. A first refusal is sent at once, so that a client or a proxy can try another replica. After
    it the kernel holds the next request for a moment; where that one comes before `Retry-After` has passed and is
    refused, too, its refusal waits for that time. An answer never waits for more than the pause.

    Parameters
    ----------
    loop, flow
        The event loop and the flow control of the connection.
    most_s
        Maximum seconds of a pause or a hold.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, flow: FlowControl, most_s: float) -> None:
        self.pauses = False  # a refusal was sent, and its upload may still be on its way
        self._loop, self._flow, self._most_s = loop, flow, most_s
        self._early_until = 0.0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def hold_s(self) -> float:
        """Seconds for which a refusal must be held now; 0 where it does not come too early."""
        return min(max(0.0, self._early_until - self._loop.time()), self._most_s)

    async def hold(self, drop_upload: Callable[[], None]) -> None:
        """Note a refusal, and wait where it comes too early; meanwhile nothing of its upload is kept."""
        if hold_s := self.hold_s:
            drop_upload()
            self._flow.pause_reading()
            await asyncio.sleep(hold_s)
            self._flow.resume_reading()
        self.note()

    def note(self) -> None:
        """Note that a refusal is sent now."""
        self.pauses = True
        self._early_until = self._loop.time() + _EARLY_S

    def pause(self) -> None:
        """Read nothing for a moment."""
        self.pauses = False
        self._flow.pause_reading()
        self._timer = self._loop.call_later(min(_PAUSE_S, self._most_s), self.resume)

    def resume(self) -> None:
        """Read again, if a pause has not ended yet."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._flow.resume_reading()
