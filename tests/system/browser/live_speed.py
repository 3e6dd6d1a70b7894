"""Measure the live view: frames per second, latency and memory. `python -m tests.system.browser.live_speed [SECONDS]`.

The camera is Chromium's own and plays drawn frames; the service has the shipped model. Both run on this machine.
"""

import os
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from service.execution.cpu_budget import cpu_budget
from service.settings import SHIPPED_MODEL
from tests.support.server_thread import serving
from tests.system.browser.browser import chromium, why_not
from tests.system.browser.live_video import camera, frames_of, shots, watch, write_y4m

if TYPE_CHECKING:
    from playwright.sync_api import Page

_WARM_UP_S = 10
_HEAP = "performance.memory.usedJSHeapSize / 2 ** 20"


def main() -> int:
    if reason := why_not():
        sys.stderr.write(f"nothing measured: {reason}\n")
        return 1
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60
    with tempfile.TemporaryDirectory() as folder, serving(SHIPPED_MODEL) as address, chromium() as browser:
        video = write_y4m(frames_of(shots(), repeats=1), Path(folder) / "exam.y4m", fps=30)
        with camera(browser, video) as started:
            page = started.new_page(viewport={"width": 1280, "height": 800})
            page.goto(address)
            watch(page)
            time.sleep(_WARM_UP_S)
            before = [page.evaluate(_HEAP), _resident(), _classified(page), *_cpu_ms()]
            time.sleep(seconds)
            after = [page.evaluate(_HEAP), _resident(), _classified(page), *_cpu_ms()]
            speed = page.inner_text("#live-speed")
    frames = max(1.0, after[2] - before[2])
    page_ms, service_ms = ((after[number] - before[number]) / frames for number in (3, 4))
    sys.stdout.write(
        f"CPU time per classified frame: page {page_ms:.0f} ms, service {service_ms:.0f} ms.\n"
        f"{cpu_budget().count} cores, load {os.getloadavg()[0]:.1f}, video of 30 frames per second.\n{speed}\n"
        f"After {_WARM_UP_S} s and {seconds:.0f} s more: page {before[0]:.1f} and {after[0]:.1f} MiB of JavaScript, "
        f"service {before[1]:.0f} and {after[1]:.0f} MiB resident\n"
    )
    return 0


def _classified(page: "Page") -> float:
    """Return the number of classified frames so far."""
    found = re.search(r"(\d+) classified", page.inner_text("#live-speed"))
    return float(found[1]) if found else 0.0


def _cpu_ms() -> tuple[float, float]:
    """Return the CPU time of Chromium's processes, and that of this process and its decoders, in milliseconds."""
    times, parents, names = dict[int, float](), dict[int, int](), dict[int, str]()
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = path.read_text().partition(" (")[2].rpartition(") ")
        except OSError:  # it has ended
            continue
        fields, pid = rest.split(), int(path.parent.name)
        parents[pid], names[pid] = int(fields[1]), name
        times[pid] = 1000 * (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    own = {os.getpid()}
    while children := {pid for pid, parent in parents.items() if parent in own} - own:
        own |= children
    browser = sum(times[pid] for pid in own if "chrom" in names[pid])
    service = sum(times[pid] for pid in own if "python" in names[pid])
    return browser, service


def _resident() -> float:
    """Return the resident memory of this process, in MiB; the service is a thread of it."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


if __name__ == "__main__":
    sys.exit(main())
