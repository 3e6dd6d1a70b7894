"""What the head for sub-planes adds to a classify: `python -m bench.sub_plane_head_cost`.

In turns, the frames that serve as uploads elsewhere are decoded, prepared and scored by the package with its head and
without; of a frame that has no sub-plane the head's graph is run all the same, so that this is the most that it costs.
"""

import argparse
import statistics
from dataclasses import replace
from pathlib import Path

from bench.frames import scans
from bench.publish import conditions, publish
from bench.timing import seconds
from service.imaging.decode import decode_frame
from service.imaging.letterbox import crop_and_letterbox
from service.inference.engine import Engine
from service.inference.package import load_package
from service.settings import SHIPPED_MODEL


def main() -> None:
    """Print the median ratio and its range."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=15)
    parser.add_argument("--frames", type=int, default=40, help="of each turn")
    parser.add_argument("--model", type=Path, default=SHIPPED_MODEL)
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put the figure between the page's marks")
    options = parser.parse_args()
    package = load_package(options.model)
    plain = replace(package, manifest=package.manifest.model_copy(update={"sub_planes": None}), sub_planes=None)
    uploads = scans()
    whole, without = Engine(package), Engine(plain)

    def classify(upload: bytes, engine: Engine) -> None:
        view, _ = crop_and_letterbox(decode_frame(upload).pixels, package.manifest.preprocessing)
        scores = engine.score(view)
        if engine is whole and engine._sub_planes is not None and scores.head_inputs is not None:
            engine._sub_planes.probabilities(scores.head_inputs)

    ratios = []
    for turn in range(options.turns + 1):
        times: dict[Engine, list[float]] = {whole: [], without: []}
        for number in range(options.frames):
            for engine in (whole, without) if number % 2 else (without, whole):
                upload = uploads[number % len(uploads)]
                times[engine].append(seconds(lambda: classify(upload, engine)))  # noqa: B023
        if turn:  # one to warm up
            ratios.append(statistics.median(times[whole]) / statistics.median(times[without]))
    median = statistics.median(ratios)
    publish(
        f"{conditions(options.model)}.\n\n- a classify with the head, beside one without: {median:.3f} "
        f"({min(ratios):.3f} to {max(ratios):.3f} in {options.turns} turns of {options.frames} frames)\n",
        "head-cost",
        options.write,
    )


if __name__ == "__main__":
    main()
