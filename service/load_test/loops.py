"""Closed and open loops.

In a closed loop each of N clients waits for its answer before it sends the next request: this finds the throughput. A
refused client waits as long as `Retry-After` asks. Without back-off it asks again at once; with many such clients on
the service's own machine, refusals and clients compete with the service for its cores.

In an open loop requests arrive at a fixed rate, whether or not the service keeps up: this finds the effect of overload.
A request's time runs from when it was due, so that a service that stalls cannot hide it by stalling the clients
("coordinated omission").
"""

import asyncio
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from time import perf_counter

from service.load_test.connection import Connection, Target
from service.load_test.server_cpu import cpu_seconds, listeners

_TIMEOUT_S = 60


@dataclass(slots=True)
class Sample:
    """The requests of one loop, in the order in which they ended."""

    statuses: list[int] = field(default_factory=list)  # HTTP status; 0 without a reply
    seconds: list[float] = field(default_factory=list)
    wall_s: float = 0.0  # from the first request to the last reply
    cpu_s: float = math.nan  # of the server meanwhile; known for a local one only

    def add(self, status: int, seconds: float) -> None:
        """Add one request."""
        self.statuses.append(status)
        self.seconds.append(seconds)


async def closed_loop(
    target: Target, frames: Sequence[bytes], clients: int, seconds: float, *, without_back_off: bool = False
) -> Sample:
    """Let `clients` send requests for `seconds`; a refused client waits for `Retry-After`, or not at all."""
    requests, sample = _requests(target, frames), Sample()
    cpu_s, started = _server_cpu(target), perf_counter()

    async def client() -> None:
        connection = Connection(target, _TIMEOUT_S)
        while (sent := perf_counter()) < started + seconds:
            sample.add(await connection.send(next(requests)), perf_counter() - sent)
            if connection.retry_after_s and not without_back_off:
                remaining_s = max(0.0, started + seconds - perf_counter())
                await asyncio.sleep(min(connection.retry_after_s, remaining_s))
        connection.close()

    await asyncio.gather(*(client() for _ in range(clients)))
    sample.wall_s, sample.cpu_s = perf_counter() - started, cpu_s()
    return sample


async def open_loop(target: Target, frames: Sequence[bytes], rate: float, seconds: float) -> Sample:
    """Send `rate` requests per second for `seconds`, evenly spaced, each when it is due."""
    requests, sample, idle = _requests(target, frames), Sample(), list[Connection]()
    cpu_s, started = _server_cpu(target), perf_counter()

    async def send(due: float) -> None:
        connection = idle.pop() if idle else Connection(target, _TIMEOUT_S)
        sample.add(await connection.send(next(requests)), perf_counter() - due)
        idle.append(connection)

    async with asyncio.TaskGroup() as tasks:
        for number in range(max(1, round(rate * seconds))):
            due = started + number / rate
            await asyncio.sleep(max(0.0, due - perf_counter()))
            tasks.create_task(send(due))
    for connection in idle:
        connection.close()
    sample.wall_s, sample.cpu_s = perf_counter() - started, cpu_s()
    return sample


def _server_cpu(target: Target) -> Callable[[], float]:
    """Return a function that returns the CPU seconds of the server since now; not a number for a remote one."""
    servers = listeners(target.port) if target.is_local else set[int]()
    before = cpu_seconds(servers)
    return lambda: cpu_seconds(servers) - before if servers else math.nan


def _requests(target: Target, frames: Sequence[bytes]) -> Iterator[bytes]:
    return itertools.cycle([target.request(frame) for frame in frames])
