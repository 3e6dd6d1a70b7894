"""The command `bench`: load a running service and print a table of its answers and times."""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from service.cli.arguments import CommandError, Commands, add_command, positive_list

if TYPE_CHECKING:
    from service.load_test.load_table import Row
    from service.settings import Settings


def register(commands: Commands) -> None:
    """Add the command."""
    bench = add_command(commands, "bench", _bench, "load a running service, and print its throughput and times")
    bench.add_argument("frames", nargs="+", metavar="FRAME", type=Path, help="files to send in turn, as raw bodies")
    bench.add_argument("--url", default="http://127.0.0.1:8000/classify", help="endpoint (default: %(default)s)")
    bench.add_argument(
        "--clients", type=positive_list, default=[1, 2, 4, 8, 16], metavar="N,N…",
        help="closed loops with these numbers of clients (default: 1,2,4,8,16)",
    )  # fmt: skip
    bench.add_argument(
        "--no-back-off", dest="without_back_off", action="store_true",
        help="a refused client of a closed loop asks again at once, and ignores Retry-After",
    )  # fmt: skip
    bench.add_argument(
        "--rates", type=positive_list, default=[], metavar="N,N…", help="open loops with these requests per second"
    )
    bench.add_argument("--seconds", type=float, default=10, help="seconds per loop (default: %(default)s)")
    bench.add_argument(
        "--warm-up", type=float, default=2, metavar="SECONDS", help="seconds of load before (default: %(default)s)"
    )
    bench.add_argument("--csv", type=Path, metavar="FILE", help="also write the table to this file")
    bench.add_argument("--key", help="API key")


def _bench(options: argparse.Namespace, _: "Settings") -> int:
    """Print a table; return 1 if a request got neither an answer nor a refusal, else 0."""
    from service.cli.output import write_file
    from service.load_test.load_table import as_csv, as_table

    rows = []
    try:
        for row in _rows(options):
            rows.append(row)
            sys.stderr.write(f"{row.load}: {row.per_second} answers per second\n")
        sys.stdout.write(as_table(rows))
        if options.csv:
            write_file(options.csv, as_csv(rows).encode())
    except (OSError, ValueError) as error:
        raise CommandError(str(error)) from error
    return int(any(row.failed for row in rows))


def _rows(options: argparse.Namespace) -> "Iterator[Row]":
    import asyncio

    from service.load_test.connection import Target
    from service.load_test.load_table import Row
    from service.load_test.loops import closed_loop, open_loop

    target = Target.parse(options.url, {"Authorization": f"Bearer {options.key}"} if options.key else {})
    frames = [path.read_bytes() for path in options.frames]
    if options.warm_up > 0:
        asyncio.run(closed_loop(target, frames, clients=2, seconds=options.warm_up))
    for clients in options.clients:
        loop = closed_loop(target, frames, clients, options.seconds, without_back_off=options.without_back_off)
        yield Row.of(f"{clients} clients", asyncio.run(loop))
    for rate in options.rates:
        yield Row.of(f"{rate} per second", asyncio.run(open_loop(target, frames, rate, options.seconds)))
