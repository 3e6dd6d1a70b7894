"""Measure the live view: frames per second, latency and memory. `python -m tests.system.browser.live_speed [SECONDS]`.

The camera is Chromium's own and plays drawn frames; the service has the shipped model. Both run on this machine.
"""

import os
import sys
import tempfile
import time
from pathlib import Path

from service.execution.cpu_budget import cpu_budget
from service.settings import SHIPPED_MODEL
from tests.support.server_thread import serving
from tests.system.browser.browser import chromium, why_not
from tests.system.browser.live_video import camera, frames_of, shots, watch, write_y4m

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
            before = [page.evaluate(_HEAP), _resident()]
            time.sleep(seconds)
            after = [page.evaluate(_HEAP), _resident()]
            speed = page.inner_text("#live-speed")
    sys.stdout.write(
        f"{cpu_budget().count} cores, load {os.getloadavg()[0]:.1f}, video of 30 frames per second.\n{speed}\n"
        f"After {_WARM_UP_S} s and {seconds:.0f} s more: page {before[0]:.1f} and {after[0]:.1f} MiB of JavaScript, "
        f"service {before[1]:.0f} and {after[1]:.0f} MiB resident\n"
    )
    return 0


def _resident() -> float:
    """Return the resident memory of this process, in MiB; the service is a thread of it."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


if __name__ == "__main__":
    sys.exit(main())
