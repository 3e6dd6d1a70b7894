"""Attack a service with hostile uploads while others use it: `python -m bench.hostile --memory 2048`.

The service runs in a control group with a limit on memory where this machine permits that (as root);
otherwise its memory is only watched. `--mutants N` sends N damaged files through decoders instead.
"""

import argparse
import asyncio
import http.client
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bench.decoder_memory.process_memory import Peak, memory_group, watch
from bench.frames import scans
from bench.hostile.attacks import Answer, in_process_of_its_own
from bench.hostile.mutants import try_mutants
from bench.publish import Section, conditions, make_parser, parse
from bench.servers import RunningService, running_service
from service.load_test.connection import Target
from service.load_test.loops import Sample, closed_loop, open_loop
from service.settings import Settings
from tests.support.hostile import HOSTILE
from tests.support.mutants import cine_seeds, seeds

_MIB = 2**20
_WINDOW_S = 5.0
_RATE = 8.0  # requests per second of the neighbors: some tenth of a core
_PROBE_S = 0.1
_OVERLOAD_CLIENTS, _OVERLOAD_S = 160, 10.0
_PATIENT_S = Settings().deadline_s + 1
_UPLOAD_S = 5


_OVERLOADS: dict[str, dict[str, str]] = {
    "overload with keep-alive": {},
    "overload without keep-alive": {"Connection": "close"},
}


class Probes:
    """Asks for the health of a service every 0.1 s, in a thread."""

    def __init__(self, url: str) -> None:
        self._host, _, port = url.removeprefix("http://").partition(":")
        self._port, self._done = int(port), threading.Event()
        self.seconds: list[float] = []
        self.failed = 0
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Probes":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._done.wait(_PROBE_S):
            started = time.monotonic()
            with closing(http.client.HTTPConnection(self._host, self._port, timeout=30)) as connection:
                try:
                    connection.request("GET", "/health/live")
                    self.failed += connection.getresponse().status != 200
                except OSError:
                    self.failed += 1
            self.seconds.append(time.monotonic() - started)


class Outcome(NamedTuple):
    """What the attack did."""

    answers: list[Answer]
    quiet: Sample
    loaded: Sample
    quiet_probe_s: list[float]
    probe_s: list[float]
    probes_failed: int
    alive: bool


def main() -> None:
    """Publish a table; exit with 1 where a criterion is not met."""
    parser = make_parser(__doc__)
    parser.add_argument("--memory", type=int, default=2048, metavar="MIB", help="limit on the memory of the service")
    parser.add_argument("--clients", type=int, default=8, help="hostile requests at a time")
    parser.add_argument("--only", default="", help="part of the names of the hostile files")
    parser.add_argument("--without-job", action="store_true", help="leave out `process`, which takes most of the time")
    parser.add_argument("--mutants", type=int, metavar="N", help="send N damaged files through decoders instead")
    parser.add_argument("--cines", action="store_true", help="damage videos, animations and archives")
    parser.add_argument("--seed", type=int, default=0, help="of the damage")
    options, section = parse(parser, "hostile")
    if options.mutants:
        makers = cine_seeds if options.cines else seeds
        section.publish(try_mutants(options.mutants, options.seed, makers).text())
        return
    sys.exit(not _publish(options, section))


def _publish(options: argparse.Namespace, section: Section) -> bool:
    names = [name for name in HOSTILE if options.only in name]
    settings = {"log_level": "error", "upload_s": str(_UPLOAD_S)}
    with ExitStack() as stack:
        group = stack.enter_context(memory_group(options.memory * _MIB))
        service = stack.enter_context(running_service(options.model, settings, stderr=subprocess.DEVNULL))
        if group is not None:
            group.add(service.process.pid)
        peak = stack.enter_context(watch(service.process.pid))
        outcome = _attack(service, names, options.clients)
        overloads = [_overload(service, name, headers) for name, headers in _OVERLOADS.items()]
        kills = 0 if group is None else group.kills()
    job = [] if options.without_job else _process(options, names)
    rows = [*_rows(outcome, peak, options.memory, kills), *overloads, *job]
    head = f"{conditions(options.model)}. {len(names)} files, {len(outcome.answers)} hostile requests, "
    where = "in a control group" if group is not None else "memory watched, not limited"
    table = "".join(f"| {name} | {value} | {'yes' if met else 'NO'} |\n" for name, value, met in rows)
    odd = [each for each in outcome.answers if not each.documented or each.seconds > _PATIENT_S]
    text = f"{head}{where}.\n\n| | measured | met |\n| --- | --- | --- |\n{table}"
    section.publish(text + "".join(f"\n- {each}" for each in odd[:50]))
    return all(met for *_, met in rows)


def _attack(service: RunningService, names: list[str], clients: int) -> Outcome:
    frames = scans()
    target = Target.parse(f"{service.url}/classify")

    def neighbors(until: Callable[[], bool]) -> Sample:
        total = Sample()
        while True:
            sample = asyncio.run(open_loop(target, frames, _RATE, _WINDOW_S))
            total.statuses += sample.statuses
            total.seconds += sample.seconds
            if until():
                return total

    neighbors(lambda: True)  # warms up
    quiet_ends = time.monotonic() + 4 * _WINDOW_S
    with Probes(service.url) as quiet_probes:
        quiet = neighbors(lambda: time.monotonic() > quiet_ends)
    with in_process_of_its_own(service.url, names, clients) as attacker, Probes(service.url) as probes:
        loaded = neighbors(lambda: attacker.done)
        answers = attacker.answers()
    alive = service.process.poll() is None
    return Outcome(answers, quiet, loaded, quiet_probes.seconds, probes.seconds, probes.failed, alive)


def _rows(outcome: Outcome, peak: Peak, memory: int, kills: int) -> list[tuple[str, str, bool]]:
    statuses = Counter(f"{each.status} {each.code}".strip() for each in outcome.answers)
    slowest = max(outcome.answers, key=lambda each: each.seconds)
    undocumented = sum(not each.documented for each in outcome.answers)
    quiet, loaded = _p95(outcome.quiet), _p95(outcome.loaded)
    refused = sum(status != 200 for status in outcome.loaded.statuses)
    probes = np.asarray(outcome.probe_s)
    pss = peak.usage.pss / _MIB
    return [
        ("kills of the service", f"{kills + (not outcome.alive)}", outcome.alive and not kills),
        ("answers", ", ".join(f"{count} x {name}" for name, count in sorted(statuses.items())), not undocumented),
        ("slowest answer", f"{slowest.seconds:.1f} s: {slowest.name} to {slowest.path}", slowest.seconds < _PATIENT_S),
        ("peak memory of all processes", f"{pss:.0f} MB; {peak.usage.processes} processes", pss < memory),
        (
            "p95 of the neighbors",
            f"{1000 * loaded:.0f} ms, {loaded / quiet:.1f} of the quiet {1000 * quiet:.0f} ms; "
            f"{refused} of {len(outcome.loaded.statuses)} refused",
            loaded < 3 * quiet and not refused,
        ),
        (
            "health probes",
            f"at most {1000 * probes.max():.0f} ms, p99 {1000 * np.quantile(probes, 0.99):.0f} ms of {len(probes)}; "
            f"quiet at most {1000 * max(outcome.quiet_probe_s):.0f} ms; {outcome.probes_failed} failed",
            bool(probes.max() < 0.1) and not outcome.probes_failed,
        ),
    ]


def _overload(service: RunningService, name: str, headers: dict[str, str]) -> tuple[str, str, bool]:
    """Let clients that never back off send ordinary frames; each request must get a whole answer."""
    target = Target.parse(f"{service.url}/classify", headers)
    sample = asyncio.run(closed_loop(target, scans(), _OVERLOAD_CLIENTS, _OVERLOAD_S, without_back_off=True))
    counts = Counter(sample.statuses)
    text = ", ".join(f"{count} x {status or 'no answer'}" for status, count in sorted(counts.items()))
    return (
        name,
        f"{_OVERLOAD_CLIENTS} clients, {_OVERLOAD_S:.0f} s: {text}",
        set(counts) <= {200, 503} and counts[200] > 0,
    )


def _p95(sample: Sample) -> float:
    return float(np.quantile(sample.seconds, 0.95))


def _process(options: argparse.Namespace, names: list[str]) -> list[tuple[str, str, bool]]:
    """Let `fetal-planes process` read all files from a folder."""
    with tempfile.TemporaryDirectory() as folder:
        source, results = Path(folder) / "in", Path(folder) / "out"
        source.mkdir()
        for name in names:
            (source / f"{name}.{_suffix(name)}").write_bytes(HOSTILE[name]())
        command = [sys.executable, "-m", "service.cli", "process", str(source), str(results)]
        command += ["--model", str(options.model)]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            with watch(process.pid) as peak, suppress(subprocess.TimeoutExpired):
                process.wait(3600)
            process.kill()
        lines = [line for file in results.glob("*.jsonl") for line in file.read_text().splitlines()]
        seen = sum(any(f'"{name}.{_suffix(name)}"' in line for line in lines) for name in names)
    pss = peak.usage.pss / _MIB
    value = f"exit {process.returncode}, {seen} of {len(names)} files have a row, peak {pss:.0f} MB"
    return [("`process` over the files", value, process.returncode in (0, 1) and seen == len(names))]


def _suffix(name: str) -> str:
    kind = name.partition("-")[0]
    return kind if kind in ("png", "jpeg", "tiff", "webp", "bmp") else "dcm"


if __name__ == "__main__":
    main()
