from collections.abc import Iterator

import httpx2 as httpx
import pytest

from bench.servers import free_port, wait_until_ready
from tests.system.container.engine import IMAGE, Engine, find_engine

START_TIMEOUT_S = 90  # on a machine that is busy with other work


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
    port = free_port()
    engine.compose("up", "-d", "--no-build", port=port)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            try:
                wait_until_ready(str(client.base_url), timeout_s=START_TIMEOUT_S)
            except TimeoutError as error:
                pytest.fail(f"{error}; the log of the container:\n{engine.log()}")
            yield client
    finally:
        engine.compose("down", port=port)
