"""The command `fetal-planes bench`."""

import argparse
import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

from service.load_test.connection import Target
from service.load_test.load_table import Row, as_csv, as_table
from service.load_test.loops import closed_loop, open_loop


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("frames", nargs="+", metavar="FRAME", type=Path, help="sent in turn, as the raw body")
    parser.add_argument("--url", default="http://127.0.0.1:8000/classify", help="where to (default: %(default)s)")
    parser.add_argument("--clients", type=_counts, default=[1, 2, 4, 8, 16], metavar="N,N…", help="closed loops")
    parser.add_argument(
        "--no-back-off",
        dest="without_back_off",
        action="store_true",
        help="clients of closed loops ask again at once where they are refused",
    )
    parser.add_argument("--rates", type=_counts, default=[], metavar="N,N…", help="open loops, requests a second")
    parser.add_argument("--seconds", type=float, default=10, help="of each loop (default: %(default)s)")
    parser.add_argument(
        "--warm-up", type=float, default=2, metavar="SECONDS", help="load before (default: %(default)s)"
    )
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write the table there as well")
    parser.add_argument("--key", help="API key")


def bench(options: argparse.Namespace) -> int:
    """Load the service and tell what it took. 0 well, 1 a request had neither an answer nor a refusal.

    Raises
    ------
    ValueError
        The address is none.
    OSError
        A frame cannot be read, or the CSV not written.
    """
    target = Target.parse(options.url, {"Authorization": f"Bearer {options.key}"} if options.key else {})
    frames = [path.read_bytes() for path in options.frames]
    rows = []
    for row in _rows(target, frames, options):
        rows.append(row)
        sys.stderr.write(f"{row.load}: {row.a_second} answers a second\n")
    sys.stdout.write(as_table(rows))
    if options.csv:
        options.csv.write_text(as_csv(rows))
    return int(any(row.failed for row in rows))


def _rows(target: Target, frames: list[bytes], options: argparse.Namespace) -> Iterator[Row]:
    if options.warm_up > 0:
        asyncio.run(closed_loop(target, frames, 2, options.warm_up))
    for clients in options.clients:
        loop = closed_loop(target, frames, clients, options.seconds, without_back_off=options.without_back_off)
        yield Row.of(f"{clients} clients", asyncio.run(loop))
    for rate in options.rates:
        yield Row.of(f"{rate} a second", asyncio.run(open_loop(target, frames, rate, options.seconds)))


def _counts(text: str) -> list[int]:
    try:
        counts = [int(part) for part in text.split(",")]
    except ValueError:
        counts = [0]
    if min(counts) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a list of counts such as 1,2,4")
    return counts
