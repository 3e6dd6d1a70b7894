"""The plan of a load test: which loops run, one after the other."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from service.load_test.connection import Target
from service.load_test.load_table import Row
from service.load_test.loops import closed_loop, open_loop

_WARM_UP_CLIENTS = 2


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """Which loops run.

    Attributes
    ----------
    clients
        Numbers of clients, one closed loop each.
    rates
        Requests per second, one open loop each.
    seconds, warm_up_s
        Seconds per loop, and of load before the first.
    without_back_off
        Whether refused clients ask again at once.
    """

    clients: Sequence[int]
    rates: Sequence[int]
    seconds: float
    warm_up_s: float
    without_back_off: bool


def run_plan(plan: LoadPlan, target: Target, frames: Sequence[bytes]) -> Iterator[Row]:
    """Run the loops and yield the row of each when it ends."""
    if plan.warm_up_s > 0:
        asyncio.run(closed_loop(target, frames, _WARM_UP_CLIENTS, plan.warm_up_s))
    for clients in plan.clients:
        loop = closed_loop(target, frames, clients, plan.seconds, without_back_off=plan.without_back_off)
        yield Row.of(f"{clients} clients", asyncio.run(loop))
    for rate in plan.rates:
        yield Row.of(f"{rate} per second", asyncio.run(open_loop(target, frames, rate, plan.seconds)))
