"""Compare the service with other servers of the same model: `python -m bench.baselines`.

Each round starts every server in turn, alone on the machine, warms it up, loads it in closed loops and ends it. The
result is the median of the rounds. A ratio is the median of each round's ratio, because a machine's speed drifts from
round to round. CPU time is that of all processes of a server. The load generator runs on the same cores as the server,
for all servers alike.
"""

import argparse
import asyncio
import re
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from bench.baselines.split import Parts, measure_split
from bench.frames import scans
from bench.publish import conditions, make_parser, parse
from bench.servers import free_port, running_group
from service.analysis.pipeline import Pipeline
from service.execution.cpu_budget import cpu_budget
from service.inference.engine import Engine
from service.inference.package import load_package
from service.inference.precision import choose_precision
from service.load_test.connection import Connection, Target
from service.load_test.load_table import Row
from service.load_test.loops import closed_loop
from service.settings import Settings

CLIENTS, OVERLOAD = 16, 160
_FORM = '--x\r\nContent-Disposition: form-data; name="upload"; filename="a.png"\r\n\r\n'


@dataclass(frozen=True, slots=True)
class Candidate:
    """A server and the endpoint of it that is loaded.

    Attributes
    ----------
    command
        Arguments of the Python interpreter; `{port}` stands for the port.
    form
        Whether the endpoint reads a multipart form; the others read the raw body.
    """

    name: str
    command: tuple[str, ...]
    path: str
    form: bool = False


def _module(name: str) -> tuple[str, ...]:
    return "-m", f"bench.baselines.{name}", "{port}"


OURS = ("-m", "service.cli", "serve", "--port", "{port}")
_BENTO = ("-m", "bentoml", "serve", "bench.baselines.bento:Planes", "--port", "{port}")
CANDIDATES = (
    Candidate("fetal-planes", OURS, "/classify"),
    Candidate("FastAPI + onnxruntime", _module("plain"), "/classify"),
    Candidate("FastAPI + onnxruntime, our INT8 graph", (*_module("plain"), "int8"), "/classify"),
    Candidate("LitServe", _module("lit"), "/classify", form=True),
    Candidate("BentoML", _BENTO, "/classify", form=True),
    Candidate("fetal-planes /explain", OURS, "/explain?overlay=false"),
    Candidate("PyTorch + Captum /explain", _module("torch_captum"), "/explain"),
)
UPPER_BOUND = "decode + preprocess + inference, no server"

Round = dict[str, list[Row]]
"""Rows by the candidate's name: 16 clients, 1 client, and for the service 160 with and without back-off."""


def main() -> None:
    """Run all rounds and publish the table."""
    parser = make_parser(__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=8, help="length of each loop")
    parser.add_argument("--only", default="", help="regular expression: measure these servers only, and ours")
    options, section = parse(parser, "baselines")
    frames = scans()
    rounds = [_run_round(number, frames, options) for number in range(options.rounds)]
    parts = [measure_split(options.model, frames, options.seconds) for _ in rounds]
    size = sum(map(len, frames)) // len(frames) // 1000
    setup = f"{len(frames)} PNG frames of {size} kB; medians of {options.rounds} rounds, loops of {options.seconds:g} s"
    section.publish(f"{conditions(options.model)}; {setup}.\n\n{_table(rounds)}{_split(parts)}")


def _run_round(number: int, frames: list[bytes], options: argparse.Namespace) -> Round:
    rows = {UPPER_BOUND: [Row(UPPER_BOUND, 0, 0, 0, _upper_bound(options.model, frames, options.seconds), 0, 0, 0)]}
    for candidate in [each for each in CANDIDATES if each is CANDIDATES[0] or re.search(options.only, each.name)]:
        rows[candidate.name] = list(_measure(candidate, frames, options.seconds))
        busy = rows[candidate.name][0]
        sys.stderr.write(
            f"round {number + 1}: {candidate.name}: {busy.per_second} answers/s, {busy.cpu_ms} CPU ms each\n"
        )
    return rows


def _upper_bound(model: Path, frames: list[bytes], seconds: float) -> float:
    """Return the frames per second of plain threads, one per core."""
    settings = Settings()
    pipeline = Pipeline(Engine(choose_precision(load_package(model), settings.precision)), settings.limits)
    end = time.perf_counter() + seconds

    def classify_until_end(thread: int) -> int:
        done = 0
        while time.perf_counter() < end:
            pipeline.classify(frames[(thread + done) % len(frames)])
            done += 1
        return done

    count = cpu_budget().count
    with ThreadPoolExecutor(count) as threads:
        return sum(threads.map(classify_until_end, range(count))) / seconds


def _measure(candidate: Candidate, frames: list[bytes], seconds: float) -> Iterator[Row]:
    headers = {"Content-Type": "application/octet-stream"}
    if candidate.form:
        headers = {"Content-Type": "multipart/form-data; boundary=x"}
        frames = [_FORM.encode() + frame + b"\r\n--x--\r\n" for frame in frames]
    port = free_port()
    target = Target("127.0.0.1", port, candidate.path, headers)
    loops = [(CLIENTS, False), (1, False)]
    if candidate.path == "/classify" and candidate.command is OURS:
        loops += [(OVERLOAD, False), (OVERLOAD, True)]
    with running_group([word.format(port=port) for word in candidate.command]):
        asyncio.run(_until_it_answers(target, frames[0], candidate.name))
        asyncio.run(closed_loop(target, frames, 4, min(2.0, seconds)))  # warms up
        for clients, without_back_off in loops:
            sample = asyncio.run(closed_loop(target, frames, clients, seconds, without_back_off=without_back_off))
            row = Row.of(f"{clients} clients", sample)
            if row.failed:
                raise RuntimeError(f"{candidate.name} failed {row.failed} requests")
            yield row


async def _until_it_answers(target: Target, frame: bytes, name: str) -> None:
    for _ in range(300):
        connection = Connection(target, 10)
        status = await connection.send(target.request(frame))
        connection.close()
        if status == 200:
            return
        await asyncio.sleep(0.4)
    raise RuntimeError(f"{name} does not answer")


def _table(rounds: list[Round]) -> str:
    ours = CANDIDATES[0].name
    lines = [
        f"| Server | Answers/s, {CLIENTS} clients | Relative to fetal-planes | CPU ms per answer "
        "| Relative to fetal-planes | p50, ms | p99, ms | Single-request p50, ms |\n"
        "| --- | --- | --- | --- | --- | --- | --- | --- |\n"
    ]
    for name in rounds[0]:
        rows = [each[name] for each in rounds]
        rate = statistics.median(row[0].per_second for row in rows)
        ratio = statistics.median(each[name][0].per_second / each[ours][0].per_second for each in rounds)
        times = ["", "", "", "", ""]
        if name != UPPER_BOUND:
            busy = [statistics.median(getattr(row[0], field) for row in rows) for field in ("p50_ms", "p99_ms")]
            cpu_ms = statistics.median(row[0].cpu_ms for row in rows)
            cpu_ratio = statistics.median(each[name][0].cpu_ms / each[ours][0].cpu_ms for each in rounds)
            times = [f"{cpu_ms:.1f}", f"{cpu_ratio:.2f}"]
            times += [f"{value:.0f}" for value in (*busy, statistics.median(row[1].p50_ms for row in rows))]
        lines.append(f"| {name} | {rate:.1f} | {ratio:.2f} | {' | '.join(times)} |\n")
    capacity, _, *overloads = zip(*(each[ours] for each in rounds), strict=True)
    with_back_off, without_back_off = (_overload(capacity, overload) for overload in overloads)
    return (
        f"{''.join(lines)}\nOverload, {OVERLOAD} clients, accepted requests of fetal-planes. Clients that wait as "
        f"`Retry-After` asks: {with_back_off}. Clients without back-off, on the service's own cores: "
        f"{without_back_off}.\n"
    )


def _split(measured: list[Parts]) -> str:
    names = ("decoding, with its decoder process", "crop", "network", "JSON", "event loop with HTTP", "in all")
    medians = (statistics.median(column) for column in zip(*measured, strict=True))
    listed = ", ".join(f"{name} {ms:.2f}" for name, ms in zip(names, medians, strict=True))
    return f"\nParts of an answer of fetal-planes, CPU ms: {listed}.\n"


def _overload(capacity: Sequence[Row], overload: Sequence[Row]) -> str:
    """Compare accepted requests under overload with those at full load."""
    pairs = list(zip(capacity, overload, strict=True))
    slower = statistics.median(over.p99_ms / full.p99_ms for full, over in pairs)
    share = statistics.median(over.per_second / full.per_second for full, over in pairs)
    refused = statistics.median(over.refused / over.answered for _, over in pairs)
    return (
        f"{slower:.1f} times the p99 of {CLIENTS} clients, {share:.0%} of their answers per second, "
        f"{refused:.1f} refusals per answer"
    )


if __name__ == "__main__":
    main()
