"""Measure what the sub-plane head adds to a classification: `python -m bench.sub_plane_head_cost`.

In alternation, the same frames are decoded, prepared and scored by the package with its head and without it. The head
runs for every frame here, while the service runs it for frames of one plane only: the result is an upper bound.
"""

import statistics
from collections.abc import Callable
from dataclasses import replace

from bench.frames import scans
from bench.publish import conditions, make_parser, median_and_range, parse, seconds
from service.imaging.decode import decode_frame
from service.imaging.letterbox import crop_and_letterbox
from service.inference.engine import Engine
from service.inference.package import ModelPackage, load_package

Classify = Callable[[bytes], object]


def main() -> None:
    """Publish the median and the range of the ratio."""
    parser = make_parser(__doc__)
    parser.add_argument("--turns", type=int, default=15)
    parser.add_argument("--frames", type=int, default=40, help="frames of each turn")
    options, section = parse(parser, "sub-plane-head-cost")
    ratios = _measure(load_package(options.model), options.turns, options.frames)
    result = median_and_range(ratios, note=f" in {options.turns} turns of {options.frames} frames")
    section.publish(
        f"{conditions(options.model)}.\n\n- a classification with the head, compared with one without: {result}\n"
    )


def _measure(package: ModelPackage, turns: int, frames: int) -> list[float]:
    """Return the ratio of the medians, with the head to without it, one per turn."""
    plain = replace(package, manifest=package.manifest.model_copy(update={"sub_planes": None}), sub_planes=None)
    with_head, without_head = _classifier(package), _classifier(plain)
    uploads, ratios = scans(), []
    for turn in range(turns + 1):
        times: dict[Classify, list[float]] = {with_head: [], without_head: []}
        for number in range(frames):
            order = (with_head, without_head) if number % 2 else (without_head, with_head)
            for classify in order:
                upload = uploads[number % len(uploads)]
                times[classify].append(seconds(lambda: classify(upload)))  # noqa: B023
        if turn:  # the first turn warms up
            ratios.append(statistics.median(times[with_head]) / statistics.median(times[without_head]))
    return ratios


def _classifier(package: ModelPackage) -> Classify:
    engine = Engine(package)

    def classify(upload: bytes) -> object:
        view, _ = crop_and_letterbox(decode_frame(upload).pixels, package.manifest.preprocessing)
        scores = engine.score(view)
        if engine._sub_planes is not None and scores.head_inputs is not None:
            return engine._sub_planes.probabilities(scores.head_inputs)
        return scores

    return classify


if __name__ == "__main__":
    main()
