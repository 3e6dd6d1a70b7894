"""Closed and open loops.

In a closed loop so many clients each wait for their answer before they ask again: it finds the throughput. A client
that is refused waits as long as `Retry-After` asks, as ours do; or, impatient, asks again at once: with many of these
on the service's own machine, what is measured is a fight of refusals and clients over its cores. In an open loop
requests come at a rate of their own, whether or not the service keeps up, as patients do: it finds what overload does.
There a request's time runs from when it was due, so that a service that stalls cannot hide it by stalling the clients.
"""

import asyncio
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from time import perf_counter

from service.load_test.connection import Connection, Target

_TIMEOUT_S = 60


@dataclass(slots=True)
class Sample:
    """What came back in one stretch of load.

    Attributes
    ----------
    statuses, seconds
        Of each request, in the order of their ends; status 0 where no reply came.
    wall_s
        From the first request to the last reply.
    """

    statuses: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    wall_s: float = 0.0

    def note(self, status: int, seconds: float) -> None:
        """Add one request."""
        self.statuses.append(status)
        self.seconds.append(seconds)


async def closed_loop(
    target: Target, frames: Sequence[bytes], clients: int, seconds: float, *, without_back_off: bool = False
) -> Sample:
    """Keep `clients` asking for so many seconds; one that is refused waits as it is told to, unless it is impatient."""
    requests, sample = _requests(target, frames), Sample()
    started = perf_counter()

    async def client() -> None:
        connection = Connection(target, _TIMEOUT_S)
        while (sent := perf_counter()) < started + seconds:
            sample.note(await connection.send(next(requests)), perf_counter() - sent)
            if connection.retry_after_s and not without_back_off:
                await asyncio.sleep(min(connection.retry_after_s, max(0.0, started + seconds - perf_counter())))
        connection.close()

    await asyncio.gather(*(client() for _ in range(clients)))
    sample.wall_s = perf_counter() - started
    return sample


async def open_loop(target: Target, frames: Sequence[bytes], rate: float, seconds: float) -> Sample:
    """Send `rate` requests a second for so many seconds, evenly spaced, each when it is due."""
    requests, sample, idle = _requests(target, frames), Sample(), list[Connection]()
    started = perf_counter()

    async def ask(due: float) -> None:
        connection = idle.pop() if idle else Connection(target, _TIMEOUT_S)
        sample.note(await connection.send(next(requests)), perf_counter() - due)
        idle.append(connection)

    async with asyncio.TaskGroup() as tasks:
        for number in range(max(1, round(rate * seconds))):
            due = started + number / rate
            await asyncio.sleep(max(0.0, due - perf_counter()))
            tasks.create_task(ask(due))
    for connection in idle:
        connection.close()
    sample.wall_s = perf_counter() - started
    return sample


def _requests(target: Target, frames: Sequence[bytes]) -> Iterator[bytes]:
    return itertools.cycle([target.request(frame) for frame in frames])
