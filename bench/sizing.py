"""Measures what a core gives: `python -m bench.sizing`.

Starts the service on one core, on two, four and so on to all that there are, and loads each with `fetal-planes bench`,
which runs on the cores that are left; where none are, it takes of the service's time.
"""

import argparse
import csv
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.frames import scans

ROOT = Path(__file__).parents[1]
PORT = 8766
CLIENTS = 8
"""For each core: as many as are let in by default, so that every core is busy and nobody is refused."""
ENDPOINTS = ("/classify", "/explain?overlay=false")
_BEGIN, _END = "<!-- measured -->", "<!-- end -->"
_HEAD = (
    "| Cores | What | A lone client's p50, ms | Answers a second | p50, ms | p99, ms | Memory, MiB |\n"
    "| --- | --- | --- | --- | --- | --- | --- |\n"
)


def main() -> int:
    """Measure every number of cores, and print or write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=8, help="of each loop")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put the table between the page's marks")
    options = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as folder:
        frames = [Path(folder) / f"{number}.png" for number in range(8)]
        for path, content in zip(frames, scans(len(frames)), strict=True):
            path.write_bytes(content)
        rows = [row for count in _counts(len(cores)) for row in _measure(cores, count, frames, options.seconds)]
    text = _conditions(len(cores), options.seconds) + _HEAD + "".join(rows)
    if options.write is None:
        sys.stdout.write(text)
        return 0
    before, _, rest = options.write.read_text().partition(_BEGIN)
    options.write.write_text(f"{before}{_BEGIN}\n\n{text}\n{_END}{rest.partition(_END)[2]}")
    return 0


def _counts(most: int) -> list[int]:
    """1, 2, 4 … and all."""
    return sorted({2**power for power in range(most.bit_length()) if 2**power < most} | {most})


def _measure(cores: list[int], count: int, frames: list[Path], seconds: float) -> Iterator[str]:
    """A row for each endpoint, of a service on the first `count` cores."""
    for endpoint in ENDPOINTS:
        with _served(set(cores[:count])) as pid:
            is_alone, busy = _bench(endpoint, set(cores[count:] or cores), [1, CLIENTS * count], frames, seconds)
            times = f"{is_alone['p50_ms']} | {busy['per_second']} | {busy['p50_ms']} | {busy['p99_ms']}"
            yield f"| {count} | {endpoint.partition('?')[0]} | {times} | {_most_memory(pid):.0f} |\n"
        sys.stderr.write(f"{count} cores, {endpoint}: {busy['per_second']} answers a second\n")


def _bench(
    endpoint: str, cores: set[int], clients: list[int], frames: list[Path], seconds: float
) -> list[dict[str, str]]:
    with tempfile.NamedTemporaryFile() as table:
        command = [sys.executable, "-m", "service.cli", "bench", *map(str, frames)]
        loops = ["--clients", ",".join(map(str, clients)), "--seconds", str(seconds), "--csv", table.name]
        url = ["--url", f"http://127.0.0.1:{PORT}{endpoint}"]
        with _kept_to(cores):
            subprocess.run([*command, *url, *loops], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)  # noqa: S603
        return list(csv.DictReader(table.read().decode().splitlines()))


@contextmanager
def _served(cores: set[int]) -> Iterator[int]:
    """A service that sees these cores alone; yields its process's id."""
    environment = os.environ | {"FETAL_PLANES_DRAIN_S": "0", "FETAL_PLANES_LOG_LEVEL": "warning"}
    command = [sys.executable, "-m", "service.cli", "serve", "--port", str(PORT)]
    with _kept_to(cores):
        process = subprocess.Popen(command, cwd=ROOT, env=environment)  # noqa: S603
    try:
        _wait_until_ready(process)
        yield process.pid
    finally:
        process.terminate()
        process.wait(60)


@contextmanager
def _kept_to(cores: set[int]) -> Iterator[None]:
    """What is started meanwhile runs on these cores alone."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _wait_until_ready(process: subprocess.Popen[bytes]) -> None:
    for _ in range(300):
        if process.poll() is not None:
            break
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{PORT}/health/ready", timeout=5).close()
        except OSError:
            time.sleep(0.4)
        else:
            return
    raise RuntimeError("the service does not start")


def _most_memory(pid: int) -> float:
    """MiB that a process had resident at its largest."""
    found = re.search(r"^VmHWM:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return int(found[1]) / 1024 if found else float("nan")


def _conditions(cores: int, seconds: float) -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    processor = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    first = "; before all else that ran (real-time priority)" if os.sched_getscheduler(0) == os.SCHED_RR else ""
    return (
        f"{time.strftime('%Y-%m-%d')}, {processor or platform.machine()}, {cores} cores; PNG frames of 800 x 600; "
        f"{CLIENTS} clients a core but for the lone one; loops of {seconds:g} s; load average over the last quarter "
        f"of an hour {os.getloadavg()[2]:.1f}{first}.\n\n"
    )


if __name__ == "__main__":
    sys.exit(main())
