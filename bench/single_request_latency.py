"""Compare the latency of a single request with the same work without a service.

Run it with `python -m bench.single_request_latency`.

In alternation: a frame is sent to a service that has no other request; the same frame is decoded, prepared and
classified in this process, by a session of ONNX Runtime with one thread per core. The result is the ratio of a turn's
medians, for the whole request and for the run of the model alone.
"""

import asyncio
import re
import statistics
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import onnxruntime as ort

from bench.frames import scans
from bench.publish import conditions, make_parser, median_and_range, parse, seconds
from bench.servers import running_service
from service.execution.cpu_budget import cpu_budget
from service.imaging.decode import decode_frame
from service.imaging.letterbox import crop_and_letterbox
from service.inference.package import load_package
from service.load_test.connection import Connection, Target

_OUTPUTS = ["probabilities", "ood_score", "distance"]


@dataclass
class Ratios:
    """The service's time divided by the time without it, one value per turn."""

    request: list[float] = field(default_factory=list)
    inference: list[float] = field(default_factory=list)


class DirectWork:
    """The work of a request on every core, without a service.

    Attributes
    ----------
    inference_s
        Seconds of each run of the model.
    """

    def __init__(self, folder: Path) -> None:
        package = load_package(folder)
        self._preprocessing = package.manifest.preprocessing
        options = ort.SessionOptions()
        options.intra_op_num_threads = cpu_budget().count
        # Without this, the session's threads keep spinning while the service has its turn.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        self._session = ort.InferenceSession(package.classifier, options, providers=["CPUExecutionProvider"])
        self.inference_s: list[float] = []

    def classify(self, upload: bytes) -> None:
        """Decode, prepare and classify one upload."""
        prepared, _ = crop_and_letterbox(decode_frame(upload).pixels, self._preprocessing)
        self.inference_s.append(seconds(lambda: self._session.run(_OUTPUTS, {"frames": prepared[None, None]})))


def main() -> None:
    """Publish the medians and the ranges of the ratios."""
    parser = make_parser(__doc__)
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--frames", type=int, default=30, help="frames of each turn")
    options, section = parse(parser, "single-request-latency")
    with running_service(options.model) as (_, url):
        ratios = _measure(url, DirectWork(options.model), options.turns, options.frames)
    lines = [f"{conditions(options.model)}.\n\n"]
    for name, values in (("a single request", ratios.request), ("its run of the model", ratios.inference)):
        result = median_and_range(values, note=f" in {options.turns} turns of {options.frames} frames")
        lines.append(f"- {name}, compared with direct work on {cpu_budget().count} cores: {result}\n")
    section.publish("".join(lines))


def _measure(url: str, direct: DirectWork, turns: int, frames: int) -> Ratios:
    ratios, uploads = Ratios(), scans()
    target = Target.parse(f"{url}/classify")
    with asyncio.Runner() as runner:
        connection = Connection(target, timeout_s=60)

        def request(upload: bytes) -> None:
            runner.run(connection.send(target.request(upload)))

        for turn in range(turns + 1):
            service_s, direct_s, before = list[float](), list[float](), _inference_s(url)
            direct.inference_s.clear()
            for number in range(frames):
                upload = uploads[number % len(uploads)]
                service_s.append(seconds(lambda: request(upload)))  # noqa: B023
                direct_s.append(seconds(lambda: direct.classify(upload)))  # noqa: B023
            if turn:  # the first turn warms up
                inference_s = (_inference_s(url) - before) / frames
                ratios.request.append(statistics.median(service_s) / statistics.median(direct_s))
                ratios.inference.append(inference_s / statistics.mean(direct.inference_s))
        connection.close()
    return ratios


def _inference_s(url: str) -> float:
    """Return the seconds that the service has spent in runs of the model since it started."""
    found = re.search(r'fetal_planes_stage_seconds_sum\{stage="infer"\} (\S+)', httpx2.get(f"{url}/metrics").text)
    return float(found[1]) if found else 0.0


if __name__ == "__main__":
    main()
