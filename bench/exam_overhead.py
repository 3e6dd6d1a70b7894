"""What sorting an exam costs beyond its frames: `python -m bench.exam_overhead`.

In turns, in one process: the exam by way of the service, and the same frames decoded, prepared and classified in plain
threads, as many as the service has workers, with no service about them. What is told is the ratio within each turn.

The frames are speckle, on which a sound model abstains. So that every plane has frames, and a best one whose evidence
the page must draw, what the model says is dealt out among the planes, and it is kept from abstaining.
"""

import argparse
import dataclasses
import statistics
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from fastapi.testclient import TestClient

from bench.publish import conditions, publish
from bench.timing import seconds
from service.analysis import pipeline as pipeline_module
from service.app import create_app
from service.execution.cpu_budget import cpu_budget
from service.inference.engine import Engine, Scores
from service.settings import SHIPPED_MODEL, Settings
from tests.support.images import encode, speckle


def main() -> None:
    """Print the ratio's median and range."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=55)
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--model", type=Path, default=SHIPPED_MODEL)
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put the figures between the page's marks")
    options = parser.parse_args()
    lines = [f"{conditions(options.model)}.\n\n"]
    _deal_out()
    uploads = [encode(speckle(661, 959, seed), "JPEG", quality=90) for seed in range(options.frames)]
    files = [("files", (f"{number}.jpg", upload)) for number, upload in enumerate(uploads)]
    with TestClient(create_app(Settings(model=options.model))) as client:
        pipeline = client.app.state.service.running.pipeline  # type: ignore[attr-defined]
        workers = cpu_budget().count
        with ThreadPoolExecutor(workers) as threads:

            def plain() -> object:
                return list(threads.map(pipeline.classify, uploads))

            for kind in ("application/json", "text/html"):

                def exam(accept: str = kind) -> object:
                    return client.post("/exam", files=files, headers={"Accept": accept}).raise_for_status()

                ratios = [seconds(exam) / seconds(plain) for _ in range(options.turns + 1)][1:]  # one to warm up
                lines.append(
                    f"- {options.frames} frames, {workers} workers, `{kind}`: {statistics.median(ratios):.3f} "
                    f"({min(ratios):.3f} to {max(ratios):.3f} in {options.turns} turns)\n"
                )
    publish("".join(lines), "exam-time", options.write)


def _deal_out() -> None:
    """Have each plane be the first of as many frames as any other."""
    score = Engine.score

    def dealt(engine: Engine, frame: Any, **how: Any) -> Scores:
        scores = score(engine, frame, **how)
        turn = int(frame.sum()) % scores.probabilities.size
        return dataclasses.replace(scores, probabilities=np.roll(np.sort(scores.probabilities), turn))

    Engine.score = dealt  # type: ignore[method-assign, assignment]
    pipeline_module.abstain_reason = lambda *_: None  # type: ignore[assignment]


if __name__ == "__main__":
    main()
