"""Start the service, and measure what it has spent when it is ready, and what the first request of each kind adds."""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import httpx2

from bench.decoder_memory.process_memory import pss_bytes, status_bytes, tree
from bench.frames import scans
from bench.servers import running_service
from service.sample.examples import EXAMPLES, encode_example

MIB = 2**20
_REPEATS = 9


class Start(NamedTuple):
    """A service that has just become ready; sizes in MiB, times in CPU seconds."""

    cpu_s: float  # of the process that serves
    resident: float  # its resident size, pages of libraries included that it shares with others
    decoders_cpu_s: float  # of the fork server and its decoders
    decoders_pss: float  # their proportional size: what they share counts once


class FirstRequest(NamedTuple):
    """CPU time of the service for the first request of a kind, and for a later one: what a start has put off."""

    kind: str
    first_ms: float
    later_ms: float  # median
    resident: float  # MiB of the service afterwards


def measure_start(model: Path) -> Start:
    """Start a service once, with two workers."""
    with running_service(model, {"workers": "2", "log_level": "warning"}, stderr=subprocess.DEVNULL) as (process, _):
        return _read(process.pid)


def _read(process: int) -> Start:
    _, *decoders = tree(process)
    return Start(
        _cpu_s(process),
        status_bytes(process, "VmRSS") / MIB,
        sum(map(_cpu_s, decoders)),
        sum(map(pss_bytes, decoders)) / MIB,
    )


def measure_first_requests(model: Path) -> Iterator[FirstRequest]:
    """Start a service, and send it requests of each kind, one after the other."""
    picture, still, loop = scans(1)[0], *(encode_example(EXAMPLES[name]) for name in ("still.dcm", "loop.dcm"))
    kinds = (
        ("`/classify` of a PNG", "/classify", picture, "application/json"),
        ("`/classify` of a DICOM still", "/classify", still, "application/json"),
        ("`/explain` of a PNG", "/explain", picture, "application/json"),
        ("`/exam` of a loop as a page", "/exam", loop, "text/html"),
        ("`/classify` of a DICOM still as a structured report", "/classify", still, "application/dicom"),
    )
    settings = {"workers": "2", "log_level": "warning"}
    with (
        running_service(model, settings, stderr=subprocess.DEVNULL) as (process, url),
        httpx2.Client(base_url=url, timeout=60) as client,
    ):
        for kind, path, upload, accept in kinds:
            times = []
            for _ in range(1 + _REPEATS):
                before = _cpu_s(process.pid)
                client.post(path, content=upload, headers={"Accept": accept}).raise_for_status()
                times.append(1000 * (_cpu_s(process.pid) - before))
            first_ms, *later = times
            resident = status_bytes(process.pid, "VmRSS") / MIB
            yield FirstRequest(kind, first_ms, sorted(later)[_REPEATS // 2], resident)


def _cpu_s(process: int) -> float:
    return time.clock_gettime((~process << 3) | 2)  # clock_getcpuclockid(3): user and system time, to the nanosecond
