"""No request holds the event loop, so that health probes are answered in time; measured in CPU time."""

import asyncio
import gc
import time
from pathlib import Path
from typing import Any

import pytest

from service.app import create_app
from service.process_setup import favor_event_loop
from service.settings import Settings
from tests.support.images import encode, speckle

TURN_S = 0.1
"""CPU seconds of the event loop's own thread between two turns."""
LOCK_S = 0.3
"""CPU seconds of all threads meanwhile: one of them may hold Python's lock, or have the core on a busy machine."""
FRAME = encode(speckle())
FORM = {"content-type": "multipart/form-data; boundary=XB"}
HEAD = b'--XB\r\nContent-Disposition: form-data; name="%s"; filename="a"'
FILES = HEAD % b"files"


def form(part: bytes, count: int) -> bytes:
    return part * count + b"--XB--\r\n"


CASES: dict[str, tuple[str, bytes, dict[str, str]]] = {
    "many parts": ("/exam", form(FILES + b"\r\n\r\nx\r\n", 20_000), FORM),
    "long part headers": ("/classify/batch", form(FILES + b"\r\nX: " + b"y" * 16_000 + b"\r\n\r\nx\r\n", 2_000), FORM),
    "parameters": ("/classify/batch", form(FILES + b";a=b" * 4_000 + b"\r\n\r\nx\r\n", 2_000), FORM),
    "near-boundaries": ("/classify", form(HEAD % b"file" + b"\r\n\r\n" + b"\r\n--X" * 6_000_000 + b"\r\n", 1), FORM),
    "Accept": ("/explain", FRAME, {"accept": "image/png;q=0.1," * 4_000}),
    "Content-Type": ("/classify", FRAME, {"content-type": "multipart/form-data; " + "a=b;" * 4_000}),
    "keys": ("/classify", FRAME, {"authorization": "Bearer " + "a" * 16_000}),
    "query": ("/classify?" + "a=1&" * 4_000, FRAME, {}),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_event_loop_stays_free(phantom_folder: Path, case: tuple[str, bytes, dict[str, str]]) -> None:
    turns = (longest_turn(phantom_folder, case) for _ in range(3))  # the best attempt counts
    assert any(own < TURN_S and all_threads < LOCK_S for own, all_threads in turns)


def longest_turn(phantom_folder: Path, case: tuple[str, bytes, dict[str, str]]) -> tuple[float, float]:
    """Return the most CPU seconds between two turns of the event loop while it answers a request.

    The first are those of its thread, the second those of all threads.
    """
    target, body, headers = case
    path, _, query = target.partition("?")
    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": "POST", "path": path, "query_string": query.encode(), "headers": pairs}
    statuses: list[int] = []
    held: list[tuple[float, float]] = []

    async def watch() -> None:
        while True:
            own, all_threads = time.thread_time(), time.process_time()
            await asyncio.sleep(0.001)
            held.append((time.thread_time() - own, time.process_time() - all_threads))

    async def run() -> None:
        messages = [{"type": "http.request", "body": body}]

        async def receive() -> dict[str, Any]:
            return messages.pop() if messages else await asyncio.get_running_loop().create_future()

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])

        app = create_app(Settings(model=phantom_folder, workers=1))
        async with app.router.lifespan_context(app):
            favor_event_loop()
            watching = asyncio.create_task(watch())
            await asyncio.sleep(0.01)
            await app(scope, receive, send)
            await asyncio.sleep(0.01)
            watching.cancel()

    try:
        asyncio.run(run())
    finally:
        gc.unfreeze()
    assert statuses[0] in (200, 400, 415)
    own, all_threads = zip(*held, strict=True)
    return max(own), max(all_threads)
