"""Measure the peak memory of a service that reads a long cine: `python -m bench.cine_memory --frames 100 10000`.

For each length, a new service receives one multi-frame DICOM object; then its peak memory is read.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.publish import conditions, make_parser, parse, seconds
from bench.servers import peak_memory_mib, running_service
from fetal_planes_client import BatchEnd, Client
from tests.support.dicom_objects import BASELINE, compressed
from tests.support.images import encode

_DISTINCT = 50  # frames that are drawn and compressed; a longer cine repeats them
_SETTINGS = {"max_upload_bytes": str(2**28), "log_level": "error"}


def draw_disc(side: int, step: int, steps: int) -> NDArray[np.uint8]:
    """Return a frame with a disc that moves over half of the width in `steps` steps."""
    rows, columns = np.mgrid[0:side, 0:side]
    inside = (rows - side / 2) ** 2 + (columns - side / 4 - step * side / (2 * steps)) ** 2 < (side / 8) ** 2
    return np.where(inside, 160, 0).astype(np.uint8)


def make_cine(frames: int, side: int) -> bytes:
    """Return a DICOM object of `frames` JPEG frames, `side` x `side` pixels each.

    A disc moves over black: the file is short and the decoded frames are large.
    """
    distinct = [draw_disc(side, step, _DISTINCT) for step in range(_DISTINCT)]
    encoded = {id(frame): encode(frame, "JPEG", quality=30, optimize=True) for frame in distinct}
    return compressed(
        [distinct[number % _DISTINCT] for number in range(frames)],
        BASELINE,
        lambda frame: encoded[id(frame)],
        "MONOCHROME2",
    )


def measure_peak(cine: bytes, frames: int, model: Path, peak_mib: Callable[[int], float] = peak_memory_mib) -> float:
    """Return the peak memory, in MiB, of a service that has classified one cine of `frames` frames.

    `peak_mib` returns it for the id of the service's process.
    """
    with running_service(model, _SETTINGS) as (process, url):
        with Client(url) as client:
            for line in client.classify_batch([cine]):
                last = line
        assert isinstance(last, BatchEnd)
        assert last.summary.cines[0].frames == frames
        return peak_mib(process.pid)


def main() -> None:
    """Publish one line for each length."""
    parser = make_parser(__doc__)
    parser.add_argument("--frames", nargs="+", type=int, default=[100, 10_000], help="lengths of the cines")
    parser.add_argument("--side", type=int, default=480, help="height and width of a frame in pixels")
    options, section = parse(parser, "cine-memory")
    lines = [f"{conditions(options.model)}.\n\n"]
    for frames in options.frames:
        cine, peaks = make_cine(frames, options.side), list[float]()
        taken = seconds(lambda: peaks.append(measure_peak(cine, frames, options.model)))  # noqa: B023
        size = len(cine) / 2**20
        lines.append(f"- {frames} frames, a file of {size:.1f} MB: peak {peaks[0]:.0f} MB, {taken:.0f} s\n")
    section.publish("".join(lines))


if __name__ == "__main__":
    main()
