"""The fixture `front`; tests are skipped where nginx is not installed."""

import shutil
import signal
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.servers import free_port, wait_until_ready
from tests.support.waiting import eventually
from tests.system.front.proxy import STOP_TIMEOUT_S, Front, answers, find_nginx, lay_out, run_nginx, start_replica


@pytest.fixture(scope="module")
def front(phantom_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """The front, with two replicas that serve the phantom and take uploads of up to the default length."""
    if not find_nginx() or not shutil.which("openssl"):
        pytest.skip("nginx or openssl is not installed")
    folder, port = tmp_path_factory.mktemp("front"), free_port()
    replicas = {number: start_replica(phantom_folder, number, folder) for number in (free_port(), free_port())}
    nginx = run_nginx(lay_out(folder, port, list(replicas)))
    front = Front(
        f"https://localhost:{port}",
        ssl.create_default_context(cafile=folder / "certs" / "tls.crt"),
        folder,
        replicas,
    )
    try:
        for number in replicas:
            wait_until_ready(f"http://127.0.0.1:{number}")
        with front.client() as client:
            eventually(lambda: answers(client))
        yield front
    finally:
        nginx.send_signal(signal.SIGTERM)
        nginx.wait(STOP_TIMEOUT_S)
        for replica in replicas.values():
            replica.kill()
            replica.communicate()
