"""Measure what a lone request takes next to the same work on all cores without a service."""

In turns, request and raw work by turns within each: a frame is sent to a service that has nothing else to do; the same
frame is decoded, prepared and classified in this process, by a session of ONNX Runtime with a thread a core. What is
told is the ratio of the medians of a turn, for the whole request and for the run of the model alone.
"""

import argparse
import asyncio
import re
import statistics
from pathlib import Path

import httpx2
import onnxruntime as ort

from bench.cine_memory import serving
from bench.frames import scans
from bench.publish import conditions, publish
from bench.timing import seconds
from service.execution.cpu_budget import cpu_budget
from service.imaging.decode import decode_frame
from service.imaging.letterbox import crop_and_letterbox
from service.inference.package import load_package
from service.load_test.connection import Connection, Target
from service.settings import SHIPPED_MODEL

_OUTPUTS = ["probabilities", "ood_score"]


class Raw:
    """The work of a request, with every core and no service."""

    def __init__(self, folder: Path) -> None:
        package = load_package(folder)
        self._preprocessing = package.manifest.preprocessing
        options = ort.SessionOptions()
        options.intra_op_num_threads = cpu_budget().count
        # Else its threads would spin on into the service's turn.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        self._session = ort.InferenceSession(package.classifier, options, providers=["CPUExecutionProvider"])
        self.run_s: list[float] = []

    def classify(self, upload: bytes) -> None:
        """Do it; notes how long the model ran."""
        prepared, _ = crop_and_letterbox(decode_frame(upload).pixels, self._preprocessing)
        self.run_s.append(seconds(lambda: self._session.run(_OUTPUTS, {"frames": prepared[None, None]})))


def main() -> None:
    """Print the ratios' medians and ranges."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--frames", type=int, default=30, help="of each turn")
    parser.add_argument("--model", type=Path, default=SHIPPED_MODEL)
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put the figures between the page's marks")
    options = parser.parse_args()
    lines = [f"{conditions(options.model)}.\n\n"]
    raw, uploads, whole, alone = Raw(options.model), scans(), list[float](), list[float]()
    with serving(options.model) as (url, _), asyncio.Runner() as runner:
        target = Target.parse(f"{url}/classify")
        connection = Connection(target, timeout_s=60)
        for turn in range(options.turns + 1):
            service_s, raw_s, before = list[float](), list[float](), _inference(url)
            raw.run_s.clear()
            for number in range(options.frames):
                upload = uploads[number % len(uploads)]
                service_s.append(seconds(lambda: runner.run(connection.send(target.request(upload)))))  # noqa: B023
                raw_s.append(seconds(lambda: raw.classify(upload)))  # noqa: B023
            if turn:  # one to warm up
                run_s = (_inference(url) - before) / options.frames
                whole.append(statistics.median(service_s) / statistics.median(raw_s))
                alone.append(run_s / statistics.mean(raw.run_s))
        connection.close()
    for name, ratios in (("a lone request", whole), ("its run of the model", alone)):
        lines.append(
            f"- {name}, beside raw work on {cpu_budget().count} cores: {statistics.median(ratios):.3f} "
            f"({min(ratios):.3f} to {max(ratios):.3f} in {options.turns} turns of {options.frames} frames)\n"
        )
    publish("".join(lines), "lone-time", options.write)


def _inference(url: str) -> float:
    """Seconds that the service has spent in runs of the model."""
    found = re.search(r'fetal_planes_stage_seconds_sum\{stage="infer"\} (\S+)', httpx2.get(f"{url}/metrics").text)
    return float(found[1]) if found else 0.0


if __name__ == "__main__":
    main()
