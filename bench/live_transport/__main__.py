"""Compare a WebSocket with keep-alive requests for the live view: `python -m bench.live_transport`.

The same JPEG crops, one in flight, from Python and from Chromium. Needs the package `websockets`, and Playwright.
"""

import base64
import http.client
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import cycle, islice
from typing import NamedTuple

import cv2
import numpy as np
from playwright.sync_api import sync_playwright
from websockets.sync.client import connect

from bench.frames import scans
from bench.live_transport.server import PATH
from bench.publish import conditions, make_parser, parse
from bench.servers import ROOT, free_port, stop, wait_until_ready
from service.load_test.server_cpu import cpu_seconds

_SIDE, _QUALITY = 640, 92  # as service/web/live_loop.js sends them
_TOP = "/classify?top=6"
_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
_IN_CHROMIUM = """async ([transport, frames, count, path]) => {
  const bytes = (text) => Uint8Array.from(atob(text), (each) => each.charCodeAt(0));
  const blobs = frames.map((text) => new Blob([bytes(text)], { type: "image/jpeg" }));
  const times = [];
  let answer = null;
  let socket = null;
  if (transport === "WebSocket") {
    socket = new WebSocket(`ws://${location.host}${path}`);
    await new Promise((done, failed) => Object.assign(socket, { onopen: done, onerror: failed }));
  }
  for (let number = 0; number < count; number += 1) {
    const blob = blobs[number % blobs.length];
    const started = performance.now();
    if (socket) {
      const reply = new Promise((done) => { socket.onmessage = ({ data }) => done(data); });
      socket.send(blob);
      answer = JSON.parse(await reply);
    } else {
      answer = await (await fetch("/classify?top=6", { method: "POST", body: blob })).json();
    }
    if (answer.predictions.length !== 6) throw new Error("no answer");
    times.push((performance.now() - started) / 1000);
  }
  socket?.close();
  return times;
}"""

Turn = Callable[[int], list[float]]
"""Sends a number of frames, one after the other; returns the seconds of each answer."""


class Costs(NamedTuple):
    """What one turn cost per answer, in milliseconds."""

    server_cpu: float
    client_cpu: float
    p50: float
    p95: float


def main() -> None:
    """Publish a table: medians over the turns."""
    parser = make_parser(__doc__)
    parser.add_argument("--rounds", type=int, default=9, help="alternating turns of each (default: %(default)s)")
    parser.add_argument("--frames", type=int, default=100, help="frames of a turn (default: %(default)s)")
    options, section = parse(parser, "live-transport")
    port, found = free_port(), dict[str, list[Costs]]()
    command = [sys.executable, "-m", "bench.live_transport.server", str(port), str(options.model)]
    with ExitStack() as stack:
        process = stack.enter_context(subprocess.Popen(command, cwd=ROOT, text=True))
        stack.callback(stop, process)
        wait_until_ready(f"http://127.0.0.1:{port}", process)
        turns = stack.enter_context(_turns(port))
        for number in range(options.rounds + 1):
            for name, turn in turns.items():
                costs = _measure(turn, options.frames, process.pid)
                if number:  # the first round warms up
                    found.setdefault(name, []).append(costs)
    rows = "".join(
        f"| {name} | {' | '.join(f'{statistics.median(values):.2f}' for values in zip(*each, strict=True))} |\n"
        for name, each in found.items()
    )
    section.publish(
        f"{conditions(options.model)}. JPEG crops of some {len(_crops()[0]) // 1000} kB, one in flight; "
        f"medians of {options.rounds} alternating turns of {options.frames} frames; milliseconds per answer.\n\n"
        f"| | CPU of the service | CPU of the client | p50 | p95 |\n| --- | --- | --- | --- | --- |\n{rows}"
    )


@contextmanager
def _turns(port: int) -> Iterator[dict[str, Turn]]:
    crops, encoded = _crops(), [base64.b64encode(each).decode() for each in _crops()]
    with (
        connect(f"ws://127.0.0.1:{port}{PATH}", compression=None, max_size=None) as socket,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=_FLAGS)
        requests = http.client.HTTPConnection("127.0.0.1", port)
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{port}/")

        def post(frame: bytes) -> bytes:
            requests.request("POST", _TOP, frame, {"Content-Type": "image/jpeg"})
            return requests.getresponse().read()

        def message(frame: bytes) -> str | bytes:
            socket.send(frame)
            answer: str | bytes = socket.recv()
            return answer

        def in_python(ask: Callable[[bytes], str | bytes]) -> Turn:
            def turn(count: int) -> list[float]:
                requests.close()  # the server ends connections that are idle for 5 s; it opens again
                return [_seconds(ask, frame) for frame in islice(cycle(crops), count)]

            return turn

        def in_chromium(transport: str) -> Turn:
            return lambda count: list(page.evaluate(_IN_CHROMIUM, [transport, encoded, count, PATH]))

        yield {
            "POST from Python": in_python(post),
            "WebSocket from Python": in_python(message),
            "POST from Chromium": in_chromium("POST"),
            "WebSocket from Chromium": in_chromium("WebSocket"),
        }
        browser.close()
        requests.close()


def _seconds(ask: Callable[[bytes], str | bytes], frame: bytes) -> float:
    started = time.perf_counter()
    answer = ask(frame)
    if len(answer) < 100:
        raise RuntimeError(f"no answer: {answer!r}")
    return time.perf_counter() - started


def _measure(turn: Turn, count: int, server: int) -> Costs:
    before = cpu_seconds({server}), cpu_seconds({os.getpid()})
    times = turn(count)
    own, everything = cpu_seconds({server}) - before[0], cpu_seconds({os.getpid()}) - before[1]
    values = own / count, (everything - own) / count, statistics.median(times), float(np.quantile(times, 0.95))
    return Costs(*(1000 * value for value in values))


def _crops() -> list[bytes]:
    """Return crops as the live view sends them."""
    crops = []
    for data in scans():
        frame = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        assert frame is not None
        scale = _SIDE / max(frame.shape[:2])
        small = cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        crops.append(cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1].tobytes())
    return crops


if __name__ == "__main__":
    main()
