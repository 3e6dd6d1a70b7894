"""Compare overload with full load: `python -m bench.overload`.

One service, and in turn 16 clients and 160 that ask again at once after a refusal. The load generator shares the cores
of the service; its CPU time is measured apart.
"""

import asyncio
import statistics
import sys
import time
from collections.abc import Iterator
from typing import NamedTuple

from bench.frames import scans
from bench.publish import conditions, make_parser, median_and_range, parse
from bench.servers import running_service
from service.load_test.connection import Target
from service.load_test.load_table import Row
from service.load_test.loops import closed_loop

CLIENTS, OVERLOAD = 16, 160


class Loop(NamedTuple):
    """One closed loop: its row of the load table, and the generator's CPU time per answer."""

    row: Row
    generator_ms: float


def main() -> None:
    """Run all rounds and publish the table."""
    parser = make_parser(__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=8, help="length of each loop")
    options, section = parse(parser, "overload")
    frames, rounds = scans(), []
    with running_service(options.model, {"log_level": "warning"}) as (_, url):
        target = Target.parse(f"{url}/classify")
        _measure(target, frames, 4, 2.0)  # warms up
        for number in range(options.rounds):
            rounds.append([_measure(target, frames, count, options.seconds) for count in (CLIENTS, OVERLOAD)])
            full, over = rounds[-1]
            share = over.row.per_second / full.row.per_second
            sys.stderr.write(f"round {number + 1}: {over.row.per_second} answers/s, {share:.2f} of full load\n")
    setup = f"{options.rounds} rounds, loops of {options.seconds:g} s"
    section.publish(f"{conditions(options.model)}; {setup}.\n\n{''.join(_table(rounds))}")


def _measure(target: Target, frames: list[bytes], clients: int, seconds: float) -> Loop:
    before = time.process_time()
    sample = asyncio.run(closed_loop(target, frames, clients, seconds, without_back_off=True))
    row = Row.of(f"{clients} clients", sample)
    if row.failed:
        raise RuntimeError(f"{row.failed} requests failed")
    return Loop(row, 1000 * (time.process_time() - before) / row.answered)


def _table(rounds: list[list[Loop]]) -> Iterator[str]:
    yield (
        "| | Answers/s | p50, ms | p99, ms | Refusals per answer | Service, CPU ms per answer "
        "| Load generator, CPU ms per answer |\n| --- | --- | --- | --- | --- | --- | --- |\n"
    )
    for loops in zip(*rounds, strict=True):
        rows = [loop.row for loop in loops]
        refused = statistics.median(row.refused / row.answered for row in rows)
        rate, p50, p99, cpu = (
            statistics.median(getattr(row, name) for row in rows)
            for name in ("per_second", "p50_ms", "p99_ms", "cpu_ms")
        )
        generator = statistics.median(loop.generator_ms for loop in loops)
        yield f"| {rows[0].load} | {rate:.1f} | {p50:.0f} | {p99:.0f} | {refused:.1f} | {cpu:.2f} | {generator:.2f} |\n"
    pairs = [(full.row, over.row) for full, over in rounds]
    yield f"\n{OVERLOAD} clients relative to {CLIENTS}, in each round: answers per second "
    yield median_and_range([over.per_second / full.per_second for full, over in pairs], 2)
    yield ", p99 " + median_and_range([over.p99_ms / full.p99_ms for full, over in pairs], 1)
    yield ", the service's CPU time per answer " + median_and_range(
        [over.cpu_ms / full.cpu_ms for full, over in pairs], 2
    )
    yield ".\n"


if __name__ == "__main__":
    main()
