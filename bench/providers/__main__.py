"""Compare an execution provider with the CPU's, where a build of ONNX Runtime that has it is installed.

`python -m bench.providers '{"OpenVINOExecutionProvider": {"device_type": "CPU"}}'` prints the CPU time of the network
per frame, by turns, and the largest differences of the answers on drawn frames, which the service checks at start.
"""

import json
import time

import numpy as np

from bench.publish import conditions, make_parser, parse
from service.inference.engine import Engine
from service.inference.package import load_package
from service.inference.providers import HEAT, PROBABILITY, SCORE, compare


def main() -> None:
    """Publish two lines."""
    parser = make_parser(__doc__)
    parser.add_argument("providers", type=json.loads, help="the value of FETAL_PLANES_PROVIDERS")
    parser.add_argument("--turns", type=int, default=20)
    options, section = parse(parser, "providers")
    package = load_package(options.model).at("float32")
    other, cpu = Engine(package.on(options.providers)), Engine(package)
    size = package.manifest.preprocessing.size
    view = np.random.default_rng(0).integers(0, 256, (size, size), np.uint8)
    times = np.array([[_milliseconds(engine, view) for engine in (cpu, other)] for _ in range(options.turns)])
    found, (ours, theirs) = compare(other, cpu), np.median(times, axis=0)
    section.publish(
        f"{conditions(options.model)}; {json.dumps(options.providers)}.\n\n"
        f"- CPU ms of the network per frame: {theirs:.2f}, with the CPU's provider {ours:.2f} (medians of "
        f"{options.turns} turns of 10 frames)\n"
        f"- largest difference of a probability {found.probability:.4f} (limit {PROBABILITY:g}), of a score of "
        f"out-of-distribution {found.score:.3f} ({SCORE:g}), of a heat map {found.heat:.3f} ({HEAT:g})\n"
    )


def _milliseconds(engine: Engine, view: np.ndarray[tuple[int, int], np.dtype[np.uint8]]) -> float:
    started = time.process_time()
    for _ in range(10):
        engine.score(view)
    return 100 * (time.process_time() - started)


if __name__ == "__main__":
    main()
