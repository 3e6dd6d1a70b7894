"""Measure what a refusal costs the service: `python -m bench.overload.refusal_cost`.

Two services whose slots are all taken, and clients that ask again at once; the pace of refusals is off. One service
refuses before its app, the other one in its middleware. The turns alternate.
"""

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Literal

from bench.frames import scans
from bench.servers import ROOT, free_port, stop, wait_until_ready
from service.api.middleware.early_refusals import EarlyRefusals
from service.app import create_app
from service.load_test.connection import Target
from service.load_test.loops import closed_loop
from service.server import Server
from service.settings import Settings
from service.transport import refusals

_WAYS = ("early", "app")
_CLIENTS = 4


def main() -> None:
    """Print the CPU milliseconds of the service per refusal, both ways."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3, help="length of each turn")
    parser.add_argument("--log-level", default="info", choices=("info", "warning"))
    parser.add_argument("--serve", nargs=2, metavar=("WAY", "PORT"), help="be one of the services")
    options = parser.parse_args()
    if options.serve:
        _serve(options.serve[0], int(options.serve[1]), options.log_level)
        return
    frames, found = scans(), {way: list[float]() for way in _WAYS}
    with ExitStack() as stack:
        targets = {way: stack.enter_context(_service(way, options.log_level)) for way in _WAYS}
        for turn in range(options.turns + 1):
            for way, target in targets.items():
                sample = asyncio.run(closed_loop(target, frames, _CLIENTS, options.seconds, without_back_off=True))
                if set(sample.statuses) != {503}:
                    raise RuntimeError(f"expected refusals only, not the statuses {set(sample.statuses)}")
                if turn:  # the first one warms up
                    found[way].append(1000 * sample.cpu_s / len(sample.statuses))
    for way, costs in found.items():
        sys.stdout.write(
            f"{way}: {statistics.median(costs):.3f} ({min(costs):.3f} to {max(costs):.3f}) CPU ms per refusal\n"
        )


@contextmanager
def _service(way: str, log_level: str) -> Iterator[Target]:
    port = free_port()
    command = [sys.executable, "-m", "bench.overload.refusal_cost", "--log-level", log_level, "--serve", way, str(port)]
    environment = os.environ | {"FETAL_PLANES_DRAIN_S": "0"}
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL, text=True)
    try:
        wait_until_ready(url := f"http://127.0.0.1:{port}", process)
        yield Target.parse(f"{url}/classify")
    finally:
        stop(process)


def _serve(way: str, port: int, log_level: Literal["info", "warning"]) -> None:
    app = create_app(settings := Settings(log_level=log_level))
    admission = app.state.runtime.admission
    admission.uploads = admission.limits.uploads  # nobody gives them back
    vars(refusals).update(_PAUSE_S=0.0, _EARLY_S=0.0)
    if way == "app":
        EarlyRefusals.refuse = lambda *_: None  # type: ignore[method-assign]
    Server(app, settings, "127.0.0.1", port).run()


if __name__ == "__main__":
    main()
