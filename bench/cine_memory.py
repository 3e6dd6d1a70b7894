"""What a long cine costs a service in memory: `python -m bench.cine_memory --frames 100 10000`.

For each length a service of its own is started, sent one multi-frame DICOM, and asked for the most memory it ever had.
"""

import argparse
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import numpy as np

from bench.publish import conditions, publish
from service.client import Client
from service.schemas.batch import BatchEnd
from service.settings import SHIPPED_MODEL
from tests.support.dicom_objects import BASELINE, compressed
from tests.support.images import encode

_PATIENCE_S = 120
_LIMITS = {
    "FETAL_PLANES_MAX_UPLOAD_BYTES": str(2**28),
    "FETAL_PLANES_LOG_LEVEL": "error",
    "FETAL_PLANES_DRAIN_S": "0",
}


def make_cine(frames: int, side: int) -> bytes:
    """A DICOM of so many JPEG frames: a disc that moves over black, which makes for short files and large frames."""
    rows, columns = np.mgrid[0:side, 0:side]
    distinct = []
    for step in range(50):
        inside = (rows - side / 2) ** 2 + (columns - side / 4 - step * side / 100) ** 2 < (side / 8) ** 2
        distinct.append(np.where(inside, 160, 0).astype(np.uint8))
    encoded = {id(frame): encode(frame, "JPEG", quality=30, optimize=True) for frame in distinct}
    return compressed(
        [distinct[number % 50] for number in range(frames)], BASELINE, lambda frame: encoded[id(frame)], "MONOCHROME2"
    )


def measure(cine: bytes, frames: int, model: Path) -> float:
    """The peak of a service's resident memory over its life, in MB, with one cine of `frames` classified in it."""
    with serving(model) as (url, server):
        with Client(url) as client:
            for line in client.classify_batch([cine]):
                last = line
        assert isinstance(last, BatchEnd)
        assert last.summary.cines[0].frames == frames
        return _peak_mb(server.pid)


@contextmanager
def serving(model: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A service of a model, ready, in a process of its own: its address, and the process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "service.cli", "serve", "--model", str(model), "--port", str(port)]
    with subprocess.Popen(command, env=os.environ | _LIMITS) as server:
        try:
            _await(url := f"http://127.0.0.1:{port}", server)
            yield url, server
        finally:
            server.terminate()


def _await(url: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline and server.poll() is None:
        try:
            if httpx2.get(f"{url}/health/ready").is_success:
                return
        except httpx2.TransportError:
            pass
        time.sleep(0.1)
    raise TimeoutError("the service does not become ready")


def _peak_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise OSError("this system does not tell a process's peak")


def main() -> None:
    """Print a line for each length."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", nargs="+", type=int, default=[100, 10_000])
    parser.add_argument("--side", type=int, default=480, help="of the square frames, in pixels")
    parser.add_argument("--model", type=Path, default=SHIPPED_MODEL)
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put the figures between the page's marks")
    options = parser.parse_args()
    lines = [f"{conditions(options.model)}.\n\n"]
    for frames in options.frames:
        cine = make_cine(frames, options.side)
        started = time.perf_counter()
        peak = measure(cine, frames, options.model)
        seconds = time.perf_counter() - started
        lines.append(f"- {frames} frames, a file of {len(cine) / 2**20:.1f} MB: peak {peak:.0f} MB, {seconds:.0f} s\n")
    publish("".join(lines), "cine-memory", options.write)


if __name__ == "__main__":
    main()
