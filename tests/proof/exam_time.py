"""What sorting an exam costs beyond its frames: `python -m tests.proof.exam_time`.

In turns, in one process: the exam by way of the service, and the same frames decoded, prepared and classified in plain
threads, as many as the service has workers, with no service about them. What is told is the ratio within each turn.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from fastapi.testclient import TestClient

from service.app import create_app
from service.inference.cpus import pool_width
from service.settings import SHIPPED_MODEL, Settings
from tests.pictures import encode, speckle


def main() -> None:
    """Print the ratio's median and range."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=55)
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--model", type=Path, default=SHIPPED_MODEL)
    options = parser.parse_args()
    uploads = [encode(speckle(661, 959, seed), "JPEG", quality=90) for seed in range(options.frames)]
    files = [("files", (f"{number}.jpg", upload)) for number, upload in enumerate(uploads)]
    with TestClient(create_app(Settings(model=options.model))) as client:
        pipeline = client.app.state.service.running.pipeline  # type: ignore[attr-defined]
        workers = pool_width().count
        with ThreadPoolExecutor(workers) as threads:

            def plain() -> object:
                return list(threads.map(pipeline.classify, uploads))

            for kind in ("application/json", "text/html"):

                def exam(accept: str = kind) -> object:
                    return client.post("/exam", files=files, headers={"Accept": accept}).raise_for_status()

                ratios = [_seconds(exam) / _seconds(plain) for _ in range(options.turns + 1)][1:]  # one to warm up
                sys.stdout.write(
                    f"{options.frames} frames, {workers} workers, {kind}: {statistics.median(ratios):.3f} "
                    f"({min(ratios):.3f} to {max(ratios):.3f} in {options.turns} turns)\n"
                )


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
