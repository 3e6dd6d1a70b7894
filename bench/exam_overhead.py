"""Measure what sorting an exam costs beyond classifying its frames: `python -m bench.exam_overhead`.

In alternation, in one process: the exam through the service, and the same frames decoded, prepared and classified by
plain threads, as many as the service has workers. The result is the ratio within each turn.

The frames are speckle, so the model abstains on them. To give every plane frames and a best frame whose heat map the
page must draw, a copy of the package never abstains, and the probabilities are rotated among the planes.
"""

import dataclasses
import json
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from fastapi.testclient import TestClient
from numpy.typing import NDArray

from bench.publish import conditions, make_parser, median_and_range, parse, seconds
from service.app import create_app
from service.execution.cpu_budget import cpu_budget
from service.inference.engine import Engine, Scores
from service.settings import Settings
from tests.support.images import encode, speckle

_MEDIA_TYPES = ("application/json", "text/html")


def main() -> None:
    """Publish the median and the range of the ratio for each media type."""
    parser = make_parser(__doc__)
    parser.add_argument("--frames", type=int, default=55, help="frames of the exam")
    parser.add_argument("--turns", type=int, default=9)
    options, section = parse(parser, "exam-overhead")
    _rotate_probabilities()
    uploads = [encode(speckle(661, 959, seed), "JPEG", quality=90) for seed in range(options.frames)]
    lines = [f"{conditions(options.model)}.\n\n"]
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(model=_never_abstaining(options.model, Path(folder) / "model"))
        with TestClient(create_app(settings)) as client:
            for media_type in _MEDIA_TYPES:
                ratios = _measure(client, uploads, media_type, options.turns)
                lines.append(
                    f"- {options.frames} frames, {cpu_budget().count} workers, `{media_type}`: "
                    f"{median_and_range(ratios, note=f' in {options.turns} turns')}\n"
                )
    section.publish("".join(lines))


def _measure(client: TestClient, uploads: list[bytes], media_type: str, turns: int) -> list[float]:
    """Return, for each turn, the time of the exam divided by that of its frames in plain threads."""
    pipeline = client.app.state.runtime.model.pipeline  # type: ignore[attr-defined]
    files = [("files", (f"{number}.jpg", upload)) for number, upload in enumerate(uploads)]
    with ThreadPoolExecutor(cpu_budget().count) as threads:

        def exam() -> object:
            return client.post("/exam", files=files, headers={"Accept": media_type}).raise_for_status()

        def plain() -> object:
            return list(threads.map(pipeline.classify, uploads))

        return [seconds(exam) / seconds(plain) for _ in range(turns + 1)][1:]  # the first turn warms up


def _never_abstaining(package: Path, copy: Path) -> Path:
    """Copy a model package, with thresholds that every frame passes."""
    shutil.copytree(package, copy)
    manifest = json.loads((copy / "model.json").read_text())
    limits = [1e9] * len(manifest["planes"])
    manifest["abstention"] |= {"min_probability": 0.0, "max_ood_score": limits, "max_distance": 1e9}
    (copy / "model.json").write_text(json.dumps(manifest))
    return copy


def _rotate_probabilities() -> None:
    """Make every plane the most probable one of about as many frames as any other."""
    score = Engine.score

    def rotated(engine: Engine, frame: NDArray[np.uint8], *, with_features: bool = False) -> Scores:
        scores = score(engine, frame, with_features=with_features)
        shift = int(frame.sum()) % scores.probabilities.size
        return dataclasses.replace(scores, probabilities=np.roll(np.sort(scores.probabilities), shift))

    Engine.score = rotated  # type: ignore[method-assign, assignment]


if __name__ == "__main__":
    main()
