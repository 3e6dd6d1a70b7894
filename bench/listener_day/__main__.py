"""Send a day of exams through the listener: `python -m bench.listener_day --speed 10`.

Each exam is a scanner of its own that stores a frame at a time, evenly over its examination; exams begin evenly over
the day. A destination in this process receives a structured report of each frame. Frames are drawn, JPEG Baseline.
"""

import io
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pydicom

from bench.listener_day.day import Arrivals, Day, receive_reports, running_listener, send_exam, used_cpu_s
from bench.publish import conditions, make_parser, parse
from bench.servers import peak_memory_mib
from service.sample.dicom_objects import write_ultrasound
from service.sample.frames import draw_frame

_DISTINCT = 20
_LAST_RESULTS_S = 300


def main() -> None:
    """Publish what a day took."""
    parser = make_parser(__doc__)
    parser.add_argument("--exams", type=int, default=40)
    parser.add_argument("--frames", type=int, default=55, help="frames of an exam")
    parser.add_argument("--hours", type=float, default=7.0, help="length of the day")
    parser.add_argument("--minutes", type=float, default=20.0, help="length of an exam")
    parser.add_argument("--speed", type=float, default=10.0, help="how much faster than a real day")
    options, section = parse(parser, "listener-day")
    day = Day(options.exams, options.frames, options.hours * 3600 / options.speed, options.minutes * 60 / options.speed)
    with tempfile.TemporaryDirectory() as folder:
        lines = run(day, options.model, Path(folder))
    heading = f"{conditions(options.model)}. {day.exams} exams of {day.frames} frames, {options.speed:g} times as fast "
    section.publish(f"{heading}as a day of {options.hours:g} hours.\n\n" + "".join(f"- {line}\n" for line in lines))


def run(day: Day, model: Path, folder: Path) -> list[str]:
    """Run a day; return its figures as lines."""
    frames = [draw_frame(seed=seed, height=600, width=800) for seed in range(_DISTINCT)]
    pictures = [pydicom.dcmread(io.BytesIO(write_ultrasound([frame], "day"))) for frame in frames]
    arrivals = Arrivals()
    with receive_reports(arrivals) as destination, running_listener(model, folder, destination) as (process, port):
        started, peak = time.monotonic(), 0
        with ThreadPoolExecutor(day.exams) as scanners:
            sent = [scanners.submit(send_exam, day, number, port, pictures, arrivals) for number in range(day.exams)]
            while not all(each.done() for each in sent):
                peak = max(peak, len(list((folder / "spool" / "objects").iterdir())))
                time.sleep(1)
            for each in sent:
                each.result()
        deadline = time.monotonic() + _LAST_RESULTS_S
        while len(arrivals.reports) < day.exams * day.frames and time.monotonic() < deadline:
            threading.Event().wait(0.1)
        taken = time.monotonic() - started
        cpu, memory = used_cpu_s(process.pid), peak_memory_mib(process.pid)
    total, once = day.exams * day.frames, len(set(arrivals.reports))
    return [
        f"{len(arrivals.acknowledged)} of {total} objects acknowledged, {once} reports delivered, "
        f"{len(arrivals.reports) - once} of them twice, in {taken:.0f} s",
        f"from the start of a C-STORE to its answer: {_spread(list(arrivals.answer_s))}",
        f"from the answer to the report at its destination: {_spread(arrivals.result_s())}",
        f"the listener and its decoders: {cpu:.0f} s of CPU time, {1000 * cpu / total:.0f} ms per object; peak memory "
        f"of the listener {memory:.0f} MiB; at most {peak} objects in the spool",
    ]


def _spread(values: Sequence[float]) -> str:
    ordered = sorted(values) or [0.0]
    median, late = ordered[len(ordered) // 2], ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)]
    return f"median {1000 * median:.0f} ms, 99 of 100 within {1000 * late:.0f} ms, longest {1000 * ordered[-1]:.0f} ms"


if __name__ == "__main__":
    main()
