"""A real server on a port of its own, in a thread: what a browser can talk to."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn

from service.app import create_app
from service.settings import Settings

_START_WITHIN = 60.0  # seconds, on a machine that is busy with something else


@contextmanager
def serving(model: Path, **settings: Any) -> Iterator[str]:
    """Serve a model package; yields the address, without a slash at its end."""
    config = uvicorn.Config(create_app(Settings(model=model, **settings)), port=0, log_config=None, access_log=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        _wait_until_started(server, thread)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(timeout=30)


def _wait_until_started(server: uvicorn.Server, thread: threading.Thread) -> None:
    deadline = time.monotonic() + _START_WITHIN
    while not server.started:
        if not thread.is_alive() or time.monotonic() > deadline:
            raise RuntimeError("the server did not start")
        time.sleep(0.05)
