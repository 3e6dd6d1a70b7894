"""A real server in a thread, on a free port, for tests that need HTTP connections."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn

from service.app import create_app
from service.settings import Settings

_START_WITHIN = 60.0  # seconds; generous, because the machine may be busy


@contextmanager
def serving(model: Path, **settings: Any) -> Iterator[str]:
    """Serve a model package; yield the address without a trailing slash."""
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
