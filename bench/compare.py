"""Measures the service beside other servers: `python -m bench.compare`.

Each round starts each server in turn, alone on the machine, warms it up, loads it in closed loops and ends it. What is
told is the median of the rounds; a ratio is the median of the rounds' own ratios, as a machine's speed drifts. The load
generator runs on the same cores as the server, for all alike.
"""

import argparse
import asyncio
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.frames import scans
from bench.publish import conditions, publish
from service.analysis.pipeline import Pipeline
from service.execution.cpu_budget import cpu_budget
from service.inference.engine import Engine
from service.inference.package import load_package
from service.load_test.connection import Connection, Target
from service.load_test.load_table import Row
from service.load_test.loops import closed_loop
from service.settings import Settings

ROOT = Path(__file__).parents[1]
PORT = 8765
CLIENTS, OVERLOAD = 16, 160
_FORM = '--x\r\nContent-Disposition: form-data; name="upload"; filename="a.png"\r\n\r\n'


@dataclass(frozen=True, slots=True)
class Contestant:
    """A server under a path of it.

    Attributes
    ----------
    command
        Starts it, after the interpreter.
    path
        What is asked.
    form
        Whether it takes a form where the others take the raw body.
    """

    name: str
    command: tuple[str, ...]
    path: str
    form: bool = False


def _peer(name: str, module: str, path: str, *, form: bool = False) -> Contestant:
    return Contestant(name, ("-m", f"bench.baselines.{module}", str(PORT)), path, form)


OURS = ("-m", "service.cli", "serve", "--port", str(PORT))
CONTESTANTS = (
    Contestant("fetal-planes", OURS, "/classify"),
    _peer("FastAPI + onnxruntime", "plain", "/classify"),
    _peer("LitServe", "lit", "/classify", form=True),
    Contestant(
        "BentoML",
        ("-m", "bentoml", "serve", "bench.baselines.bento:Planes", "--port", str(PORT)),
        "/classify",
        form=True,
    ),
    Contestant("fetal-planes /explain", OURS, "/explain?overlay=false"),
    _peer("PyTorch + Captum /explain", "torch_captum", "/explain"),
)
CEILING = "decode + preprocess + inference, no server"


def main() -> int:
    """Run all rounds, and print or write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=8, help="of each loop")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put the table between the page's marks")
    options = parser.parse_args()
    frames = scans()
    rounds = [_round(number, frames, options.seconds) for number in range(options.rounds)]
    size = sum(map(len, frames)) // len(frames) // 1000
    told = f"{len(frames)} PNG frames of {size} kB; medians of {options.rounds} rounds of {options.seconds:g} s a loop"
    publish(f"{conditions(Settings().model)}; {told}.\n\n{_table(rounds)}", "compare", options.write)
    return 0


def _round(number: int, frames: list[bytes], seconds: float) -> dict[str, list[Row]]:
    rows = {CEILING: [Row(CEILING, 0, 0, 0, _ceiling(frames, seconds), 0, 0, 0)]}
    for each in CONTESTANTS:
        rows[each.name] = list(_measure(each, frames, seconds))
        sys.stderr.write(f"round {number + 1}: {each.name}: {rows[each.name][0].per_second} answers a second\n")
    return rows


def _ceiling(frames: list[bytes], seconds: float) -> float:
    """Frames a second of plain threads, as many as cores."""
    settings = Settings()
    pipeline = Pipeline(Engine(load_package(settings.model)), settings.limits)
    end = time.perf_counter() + seconds

    def work(thread: int) -> int:
        done = 0
        while time.perf_counter() < end:
            pipeline.classify(frames[(thread + done) % len(frames)])
            done += 1
        return done

    width = cpu_budget().count
    with ThreadPoolExecutor(width) as threads:
        return sum(threads.map(work, range(width))) / seconds


def _measure(contestant: Contestant, frames: list[bytes], seconds: float) -> Iterator[Row]:
    """16 clients, 1 client, and for ours 160, first patient ones, then impatient ones."""
    headers = {"Content-Type": "application/octet-stream"}
    if contestant.form:
        headers = {"Content-Type": "multipart/form-data; boundary=x"}
        frames = [_FORM.encode() + frame + b"\r\n--x--\r\n" for frame in frames]
    target = Target("127.0.0.1", PORT, contestant.path, headers)
    with _served(contestant, target, frames[0]):
        asyncio.run(closed_loop(target, frames, 4, min(2.0, seconds)))
        overload = contestant.path == "/classify" and contestant.command is OURS
        for clients, without_back_off in [
            (CLIENTS, False),
            (1, False),
            *([(OVERLOAD, False), (OVERLOAD, True)] * overload),
        ]:
            sample = asyncio.run(closed_loop(target, frames, clients, seconds, without_back_off=without_back_off))
            row = Row.of(f"{clients} clients", sample)
            if row.failed:
                raise RuntimeError(f"{contestant.name} failed {row.failed} requests")
            yield row


@contextmanager
def _served(contestant: Contestant, target: Target, frame: bytes) -> Iterator[None]:
    environment = os.environ | {"FETAL_PLANES_DRAIN_S": "0", "FETAL_PLANES_LOG_LEVEL": "warning"}
    command = [sys.executable, *contestant.command]
    process = subprocess.Popen(  # noqa: S603 (commands of this file alone)
        command, cwd=ROOT, env=environment, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        asyncio.run(_until_it_answers(target, frame, contestant.name))
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)  # the session that was begun for it, with the workers it has made
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


async def _until_it_answers(target: Target, frame: bytes, name: str) -> None:
    for _ in range(300):
        connection = Connection(target, 10)
        status = await connection.send(target.request(frame))
        connection.close()
        if status == 200:
            return
        await asyncio.sleep(0.4)
    raise RuntimeError(f"{name} does not answer")


def _table(rounds: list[dict[str, list[Row]]]) -> str:
    ours, lines = "fetal-planes", []
    for name in (CEILING, *(each.name for each in CONTESTANTS)):
        rows = [each[name] for each in rounds]
        rate = statistics.median(row[0].per_second for row in rows)
        ratio = statistics.median(each[name][0].per_second / each[ours][0].per_second for each in rounds)
        times = ["", "", ""]
        if name != CEILING:
            busy = [statistics.median(getattr(row[0], field) for row in rows) for field in ("p50_ms", "p99_ms")]
            times = [f"{value:.0f}" for value in (*busy, statistics.median(row[1].p50_ms for row in rows))]
        lines.append(f"| {name} | {rate:.1f} | {ratio:.2f} | {' | '.join(times)} |\n")
    capacity, _, *storms = zip(*(each[ours] for each in rounds), strict=True)
    patient, without_back_off = (_overload(capacity, storm) for storm in storms)
    head = f"| | answers a second, {CLIENTS} clients | of ours | p50, ms | p99, ms | a lone client's p50, ms |\n"
    return (
        f"{head}| --- | --- | --- | --- | --- | --- |\n{''.join(lines)}\n"
        f"With {OVERLOAD} clients, what ours accepts, where a client that is refused waits as `Retry-After` asks: "
        f"{patient}. Where all ask again at once, from the service's own cores: {without_back_off}.\n"
    )


def _overload(capacity: Sequence[Row], overload: Sequence[Row]) -> str:
    """What a storm costs those that are let in, beside the load that fills all places."""
    pairs = list(zip(capacity, overload, strict=True))
    slower = statistics.median(storm.p99_ms / calm.p99_ms for calm, storm in pairs)
    share = statistics.median(storm.per_second / calm.per_second for calm, storm in pairs)
    refused = statistics.median(storm.refused / storm.answered for _, storm in pairs)
    return (
        f"a p99 of {slower:.1f} times that with {CLIENTS}, {share:.0%} of its answers a second, "
        f"{refused:.1f} refusals an answer"
    )


if __name__ == "__main__":
    sys.exit(main())
