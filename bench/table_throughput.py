"""What an archive job costs on one machine: without Ray, and on a Ray cluster of one node and of two.

    python -m bench.table_throughput [--frames N] [--rounds N] [--python PYTHON] [--write PAGE]

The three are measured in turns, round after round, so that whatever else the machine does meets them alike. Each has
two cores. A job on Ray is the first of a cluster that has just come up, so that it pays for all that Ray starts once.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from pyarrow import parquet

from bench.publish import conditions, publish
from service.settings import SHIPPED_MODEL
from tests.support.images import encode, speckle
from tests.support.paths import ROOT
from tests.system.ray.cluster import Cluster

CORES = 2
SIDES = ("plain", "one Ray node", "two Ray nodes")
SHARES = ("read", "decode", "infer", "write")


class Measured(NamedTuple):
    """A job.

    Attributes
    ----------
    whole
        Frames a second of the command, from its start to its end.
    running
        Frames a second in the middle of it, where nothing starts and nothing ends.
    start, end
        Seconds before the first frame is worked on, and those at the end when cores have no more frames.
    spent
        Seconds of its threads, by what they were spent on.
    """

    whole: float
    running: float
    start: float
    end: float
    spent: dict[str, float]


def plant(folder: Path, frames: int) -> int:
    """So many PNGs of 800 x 600, as a scanner exports them. The bytes of one."""
    folder.mkdir()
    kinds = [encode(speckle(600, 800, seed)) for seed in range(16)]
    for number in range(frames):
        (folder / f"{number:06d}.png").write_bytes(kinds[number % len(kinds)])
    return sum(map(len, kinds)) // len(kinds)


def measure(source: Path, out: Path, python: str, cluster: Cluster | None) -> Measured:
    """Do a job, on a cluster or without one."""
    command = ["-m", "service.cli", "table", str(source), str(out)]
    begun = time.time()
    if cluster is None:
        subprocess.run([python, *command], cwd=ROOT, check=True, stderr=subprocess.DEVNULL)
    else:
        job = cluster.python(*command, "--ray", cluster.address)
        _, errors = job.communicate()
        assert job.returncode == 0, errors
    taken = time.time() - begun
    parts = [(part.stat().st_mtime, parquet.read_metadata(part).num_rows) for part in out.glob("batch=*/part-*")]
    side_by_side = 1 if cluster is None else CORES  # a plain run has all cores work on one shard
    return timed(sorted(parts), begun, taken, side_by_side, json.loads((out / "_summary.json").read_text())["seconds"])


def timed(
    parts: list[tuple[float, int]], begun: float, taken: float, side_by_side: int, spent: dict[str, float]
) -> Measured:
    """Tell a job's rate once it runs from what it takes to start, by when each part was written and its frames."""
    ends = [end for end, _ in parts]
    done = [sum(frames for _, frames in parts[: number + 1]) for number in range(len(parts))]
    edge = len(parts) // 8
    running = statistics.linear_regression(ends[edge : len(ends) - edge], done[edge : len(done) - edge]).slope
    start = ends[0] - begun - side_by_side * parts[0][1] / running
    return Measured(done[-1] / taken, running, start, taken - start - done[-1] / running, spent)


def main() -> None:
    """Measure, and print a table, or write it into a page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=5120)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--python", default=sys.executable, help="what the jobs run on; that of `requirements/ray.txt`")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put the figures between the page's marks")
    options = parser.parse_args()
    found: dict[str, list[Measured]] = {side: [] for side in SIDES}
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "in"
        size = plant(source, options.frames)
        for turn in range(options.rounds):
            for side in SIDES:
                out = Path(folder) / f"{side}-{turn}"
                found[side].append(_measure_side(side, source, out, options.python))
    lines = [
        f"{conditions(SHIPPED_MODEL)}; niceness {os.nice(0)}. {options.frames} PNGs of 800 x 600 on {CORES} cores, in "
        f"shards of the default size; medians of {options.rounds} rounds, with the lowest and the highest.\n\n",
        table(found),
        ten_million(statistics.median(each.running for each in found["one Ray node"]) / CORES, size),
    ]
    publish("".join(lines), "table-rate", options.write)


def _measure_side(side: str, source: Path, out: Path, python: str) -> Measured:
    if side == "plain":
        return measure(source, out, python, None)
    two = side == "two Ray nodes"
    with Cluster(cpus=CORES // 2 if two else CORES, second=two, python=python) as cluster:
        return measure(source, out, python, cluster)


def table(found: dict[str, list[Measured]]) -> str:
    """A row for each side; its ratios are of each round, and then the median."""
    head = ("", "Once running, frames/s", "of plain", "Whole command, frames/s", "of plain", "Start, s", "End, s")
    rows = [(*head, *SHARES), ("---",) * (len(head) + len(SHARES))]
    for side, runs in found.items():
        pairs = list(zip(runs, found["plain"], strict=True))
        spent = {name: statistics.median(each.spent[name] for each in runs) for name in SHARES}
        rows.append(
            (
                side,
                _told([each.running for each in runs], 1),
                _told([each.running / plain.running for each, plain in pairs], 2),
                _told([each.whole for each in runs], 1),
                _told([each.whole / plain.whole for each, plain in pairs], 2),
                f"{statistics.median(each.start for each in runs):.1f}",
                f"{statistics.median(each.end for each in runs):.1f}",
                *(f"{spent[name] / sum(spent.values()):.1%}" for name in SHARES),
            )
        )
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def ten_million(rate: float, size: int, price: float = 0.04) -> str:
    """What ten million frames take, at so many a second and core, of so many bytes each; `price` of a core-hour."""
    hours = 1e7 / rate / 3600
    return (
        f"\nAt {rate:.1f} frames/s a core, as one Ray node has once running, ten million frames are {hours:.0f} "
        f"core-hours: {hours / 16:.1f} hours on one machine of 16 cores, {hours / 64:.1f} on four. At an **assumed** "
        f"price of {price} a core-hour a million frames cost {hours * price / 10:.2f}. These 64 cores read "
        f"{64 * rate:.0f} frames/s, of {size / 1000:.0f} kB each: {64 * rate * size / 1e6:.0f} MB/s.\n"
    )


def _told(values: list[float], digits: int) -> str:
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


if __name__ == "__main__":
    main()
