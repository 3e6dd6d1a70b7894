import socket
import time
from collections.abc import Iterator

import httpx2 as httpx
import pytest

from tests.system.container.engine import IMAGE, Engine, find_engine

START_WITHIN = 90.0  # seconds, on a machine that is busy with something else


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    """The engine, its image built; the image goes at the end."""
    found = find_engine()
    if isinstance(found, str):
        pytest.skip(found)
    found.build()
    yield found
    found("rmi", IMAGE)


@pytest.fixture(scope="session")
def client(engine: Engine) -> Iterator[httpx.Client]:
    """A client of the composed service, which is up and ready; it is taken down at the end."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    engine.compose("up", "-d", "--no-build", port=port)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            wait_until_ready(client, engine)
            yield client
    finally:
        engine.compose("down", port=port)


def wait_until_ready(client: httpx.Client, engine: Engine) -> None:
    deadline = time.monotonic() + START_WITHIN
    while True:
        try:
            if client.get("/health/ready").status_code == 200:
                return
        except httpx.TransportError:
            pass
        if time.monotonic() > deadline:
            pytest.fail(f"not ready within {START_WITHIN:.0f} s; its log:\n{engine.log()}")
        time.sleep(0.5)
