"""Measure the throughput of a table job: without Ray, on one Ray node and on two: `python -m bench.table_throughput`.

The three run in alternation, round after round, so that other load on the machine affects them alike. Each has two
cores. A job on Ray is the first job of a new cluster, so it includes everything that Ray starts once.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from pyarrow import parquet

from bench.publish import conditions, make_parser, median_and_range, parse
from bench.servers import ROOT
from tests.support.images import encode, speckle
from tests.support.ray_cluster import Cluster

CORES = 2
PLAIN, ONE_NODE, TWO_NODES = "plain", "one Ray node", "two Ray nodes"
STAGES = ("read", "decode", "infer", "write")
_HOURLY_PRICE = 0.04  # of one core; an assumption


@dataclass(frozen=True, slots=True)
class JobTiming:
    """The timing of one job.

    Attributes
    ----------
    overall_rate
        Frames per second of the command, from start to end.
    steady_rate
        Frames per second in the middle of the job, where nothing starts or ends.
    start_s, end_s
        Seconds until the first frame is read, and seconds at the end in which cores have no frames left.
    stage_s
        Seconds of thread time by stage.
    """

    overall_rate: float
    steady_rate: float
    start_s: float
    end_s: float
    stage_s: dict[str, float]


@dataclass(frozen=True, slots=True)
class JobOutput:
    """What the output of one job says about its timing.

    Attributes
    ----------
    parts
        Time of writing (seconds since the epoch) and number of frames of each part, in order of time.
    started
        Start of the command, in seconds since the epoch.
    wall_s
        Seconds from start to end of the command.
    parallel
        Number of parts that are worked on at the same time.
    stage_s
        Seconds of thread time by stage.
    """

    parts: list[tuple[float, int]]
    started: float
    wall_s: float
    parallel: int
    stage_s: dict[str, float]


def write_frames(folder: Path, count: int) -> int:
    """Write `count` PNG files of 800 x 600 pixels; return the mean size of one in bytes."""
    folder.mkdir()
    distinct = [encode(speckle(600, 800, seed)) for seed in range(16)]
    for number in range(count):
        (folder / f"{number:06d}.png").write_bytes(distinct[number % len(distinct)])
    return sum(map(len, distinct)) // len(distinct)


def run_job(source: Path, out: Path, python: str, cluster: Cluster | None) -> JobTiming:
    """Run one job, on a cluster or without Ray, and return its timing."""
    command = ["-m", "service.cli", "table", str(source), str(out)]
    started = time.time()
    if cluster is None:
        subprocess.run([python, *command], cwd=ROOT, check=True, stderr=subprocess.DEVNULL)
    else:
        job = cluster.python(*command, "--ray", cluster.address)
        _, errors = job.communicate()
        assert job.returncode == 0, errors
    wall_s = time.time() - started
    parts = [(part.stat().st_mtime, parquet.read_metadata(part).num_rows) for part in out.glob("batch=*/part-*")]
    parallel = 1 if cluster is None else CORES  # without Ray, all cores work on one shard
    stage_s = json.loads((out / "_summary.json").read_text())["seconds"]
    return analyze(JobOutput(sorted(parts), started, wall_s, parallel, stage_s))


def analyze(job: JobOutput) -> JobTiming:
    """Separate a job's steady rate from its start and its end, from the times at which its parts were written."""
    times = [written for written, _ in job.parts]
    done = [sum(frames for _, frames in job.parts[: number + 1]) for number in range(len(job.parts))]
    edge = len(job.parts) // 8  # parts at either end that may not be steady yet
    middle = slice(edge, len(job.parts) - edge)
    steady_rate = statistics.linear_regression(times[middle], done[middle]).slope
    start_s = times[0] - job.started - job.parallel * job.parts[0][1] / steady_rate
    end_s = job.wall_s - start_s - done[-1] / steady_rate
    return JobTiming(done[-1] / job.wall_s, steady_rate, start_s, end_s, job.stage_s)


def main() -> None:
    """Run all rounds and publish the table."""
    parser = make_parser(__doc__)
    parser.add_argument("--frames", type=int, default=5120, help="frames of each job")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--python", default=sys.executable, help="interpreter of the jobs, with `requirements/ray.txt` installed"
    )
    options, section = parse(parser, "table-throughput")
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "in"
        size = write_frames(source, options.frames)
        timings = _run_rounds(source, Path(folder), options)
    steady_rate = statistics.median(timing.steady_rate for timing in timings[ONE_NODE]) / CORES
    section.publish(
        f"{conditions(options.model)}; niceness {os.nice(0)}. {options.frames} PNG files of 800 x 600 on {CORES} "
        f"cores, shards of the default size; medians of {options.rounds} rounds, with the lowest and the highest.\n\n"
        f"{table(timings)}{ten_million(steady_rate, size)}"
    )


def _run_rounds(source: Path, folder: Path, options: argparse.Namespace) -> dict[str, list[JobTiming]]:
    timings: dict[str, list[JobTiming]] = {PLAIN: [], ONE_NODE: [], TWO_NODES: []}
    for number in range(options.rounds):
        for setup, rounds in timings.items():
            out = folder / f"{setup}-{number}"
            if setup == PLAIN:
                rounds.append(run_job(source, out, options.python, None))
                continue
            second = setup == TWO_NODES
            with Cluster(cpus=CORES // 2 if second else CORES, second=second, python=options.python) as cluster:
                rounds.append(run_job(source, out, options.python, cluster))
    return timings


def table(timings: dict[str, list[JobTiming]]) -> str:
    """Return one row for each setup. A ratio is the median of each round's ratio to the plain job."""
    head = ("Setup", "Steady, frames/s", "ratio", "Whole command, frames/s", "ratio", "Start, s", "End, s")
    rows = [(*head, *STAGES), ("---",) * (len(head) + len(STAGES))]
    for setup, rounds in timings.items():
        pairs = list(zip(rounds, timings[PLAIN], strict=True))
        stage_s = {name: statistics.median(timing.stage_s[name] for timing in rounds) for name in STAGES}
        rows.append(
            (
                setup,
                median_and_range([timing.steady_rate for timing in rounds], 1),
                median_and_range([timing.steady_rate / plain.steady_rate for timing, plain in pairs], 2),
                median_and_range([timing.overall_rate for timing in rounds], 1),
                median_and_range([timing.overall_rate / plain.overall_rate for timing, plain in pairs], 2),
                f"{statistics.median(timing.start_s for timing in rounds):.1f}",
                f"{statistics.median(timing.end_s for timing in rounds):.1f}",
                *(f"{stage_s[name] / sum(stage_s.values()):.1%}" for name in STAGES),
            )
        )
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def ten_million(rate: float, size: int) -> str:
    """Return what ten million frames of `size` bytes take at `rate` frames per second and core."""
    hours = 1e7 / rate / 3600
    return (
        f"\nAt {rate:.1f} frames/s per core, the steady rate of one Ray node, ten million frames take {hours:.0f} "
        f"core-hours: {hours / 16:.1f} hours on one machine of 16 cores, {hours / 64:.1f} hours on four. At an "
        f"**assumed** price of {_HOURLY_PRICE} per core-hour, a million frames cost {hours * _HOURLY_PRICE / 10:.2f}. "
        f"64 cores read {64 * rate:.0f} frames/s of {size / 1000:.0f} kB each: {64 * rate * size / 1e6:.0f} MB/s.\n"
    )


if __name__ == "__main__":
    main()
