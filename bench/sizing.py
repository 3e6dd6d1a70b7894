"""Measure what the service answers on 1, 2, 4 ... cores: `python -m bench.sizing`.

For each number of cores, `fetal-planes bench` loads a service that is restricted to them. The load generator runs on
the remaining cores; where none remain, it shares those of the service.
"""

import argparse
import csv
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.frames import scans
from bench.publish import conditions, make_parser, parse
from bench.servers import ROOT, only_on_cores, peak_memory_mib, running_service

CLIENTS_PER_CORE = 8  # the default number of requests per worker: every core is busy and no request is refused
ENDPOINTS = ("/classify", "/explain?overlay=false")
_HEAD = (
    "| Cores | Endpoint | Single-request p50, ms | Answers/s | p50, ms | p99, ms | Peak memory, MiB |\n"
    "| --- | --- | --- | --- | --- | --- | --- |\n"
)


@dataclass(frozen=True, slots=True)
class Load:
    """What the load generator sends, for how many seconds per loop, and from which cores."""

    frames: list[Path]
    seconds: float
    cores: set[int]


def main() -> None:
    """Measure every number of cores and publish the table."""
    parser = make_parser(__doc__)
    parser.add_argument("--seconds", type=float, default=8, help="length of each loop")
    options, section = parse(parser, "sizing")
    section.publish(_conditions(options) + _HEAD + "".join(measure(options)))


def measure(options: argparse.Namespace) -> Iterator[str]:
    """Return the rows of the table: each endpoint on each number of cores."""
    cores = sorted(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as folder:
        frames = [Path(folder) / f"{number}.png" for number in range(8)]
        for path, content in zip(frames, scans(len(frames)), strict=True):
            path.write_bytes(content)
        for count in core_counts(len(cores)):
            settings = {"log_level": "warning"}
            load = Load(frames, options.seconds, set(cores[count:] or cores))
            for endpoint in ENDPOINTS:
                with running_service(options.model, settings, cores=set(cores[:count])) as (process, url):
                    single, busy = _run_load(f"{url}{endpoint}", [1, CLIENTS_PER_CORE * count], load)
                    memory = peak_memory_mib(process.pid)
                times = f"{single['p50_ms']} | {busy['per_second']} | {busy['p50_ms']} | {busy['p99_ms']}"
                sys.stderr.write(f"{count} cores, {endpoint}: {busy['per_second']} answers/s\n")
                yield f"| {count} | {endpoint.partition('?')[0]} | {times} | {memory:.0f} |\n"


def core_counts(most: int) -> list[int]:
    """Return the powers of two below `most`, and `most`."""
    return sorted({2**power for power in range(most.bit_length()) if 2**power < most} | {most})


def _run_load(url: str, clients: list[int], load: Load) -> list[dict[str, str]]:
    """Return the rows of `fetal-planes bench`: one for each number of clients."""
    with tempfile.TemporaryDirectory() as folder, only_on_cores(load.cores):
        table = Path(folder) / "loops.csv"  # `bench` replaces the file, so an open one would stay empty
        command = [sys.executable, "-m", "service.cli", "bench", *map(str, load.frames), "--url", url]
        loops = ["--clients", ",".join(map(str, clients)), "--seconds", str(load.seconds), "--csv", str(table)]
        subprocess.run([*command, *loops], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        return list(csv.DictReader(table.read_text().splitlines()))


def _conditions(options: argparse.Namespace) -> str:
    real_time = "; real-time priority" if os.sched_getscheduler(0) == os.SCHED_RR else ""
    return (
        f"{conditions(options.model)}; PNG frames of 800 x 600; {CLIENTS_PER_CORE} clients per core, and one client "
        f"for the single request; loops of {options.seconds:g} s{real_time}.\n\n"
    )


if __name__ == "__main__":
    main()
