"""What an archive job costs on one machine: without Ray, and on a Ray cluster of one node and of two.

    python -m tests.proof.archive_rate [--frames N] [--rounds N]

The three are measured in turns, round after round, so that whatever else the machine does meets them alike. Each has
two cores. Ray's time counts from when its driver asks for the cluster; a job before it has its processes started.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.pictures import encode, speckle
from tests.ray.cluster import ROOT, Cluster

SHARES = ("read", "decode", "infer", "write")
SIDES = ("plain", "one Ray node", "two Ray nodes")


def plant(folder: Path, frames: int) -> None:
    """So many PNGs of 800 x 600, as a scanner exports them."""
    folder.mkdir()
    kinds = [encode(speckle(600, 800, seed)) for seed in range(16)]
    for number in range(frames):
        (folder / f"{number:06d}.png").write_bytes(kinds[number % len(kinds)])


def measure(source: Path, out: Path, cluster: Cluster | None) -> dict[str, float]:
    """A job's seconds: of the whole run, from the model's loading on, and of what its frames went through."""
    command = ["-m", "service.cli", "archive", str(source), str(out), "--shard-files", "50"]
    if cluster is None:
        subprocess.run([sys.executable, *command], cwd=ROOT, check=True, stderr=subprocess.DEVNULL)
    else:
        job = cluster.python(*command, "--ray", cluster.address)
        _, errors = job.communicate()
        assert job.returncode == 0, errors
    seconds: dict[str, float] = json.loads((out / "_summary.json").read_text())["seconds"]
    return seconds


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    found: dict[str, list[dict[str, float]]] = {side: [] for side in SIDES}
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "in"
        plant(source, options.frames)
        for turn in range(options.rounds):
            for side in SIDES:
                out = Path(folder) / f"{side}-{turn}"
                if side == "plain":
                    found[side].append(measure(source, out, None))
                    continue
                two = side == "two Ray nodes"
                with Cluster(cpus=1 if two else 2, second=two) as cluster:
                    measure(source, Path(folder) / f"warm-{side}-{turn}", cluster)  # its processes load what they need
                    found[side].append(measure(source, out, cluster))
    _print(found, options.frames)


def _print(found: dict[str, list[dict[str, float]]], frames: int) -> None:
    rates = {side: statistics.median(frames / each["run"] for each in found[side]) for side in SIDES}
    sys.stdout.write("| | frames/s | of plain | " + " | ".join(SHARES) + " |\n| --- |" + " --- |" * 6 + "\n")
    for side, runs in found.items():
        spent = {name: statistics.median(each[name] for each in runs) for name in SHARES}
        told = " | ".join(f"{spent[name] / sum(spent.values()):.1%}" for name in SHARES)
        sys.stdout.write(f"| {side} | {rates[side]:.1f} | {rates[side] / rates['plain']:.2f} | {told} |\n")


if __name__ == "__main__":
    main()
