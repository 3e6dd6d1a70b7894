"""Connections in numbers, clients that read slowly, and refusals while the client still sends: all by real sockets."""

import resource
import socket
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import httpx2
import numpy as np
import pytest

from bench.servers import RunningService, free_port, running_service, start_service, stop, wait_until_ready
from tests.support.images import encode, speckle
from tests.support.sockets import address, read_reply
from tests.support.waiting import TIMEOUT_S, eventually

FRAME = encode(speckle(300, 400))
NOISE = encode(np.random.default_rng(0).integers(0, 256, (1500, 2000), np.uint8))  # as PNG some 3 MB, as is the reply
OPEN_FILES = 256


@contextmanager
def few_files(model: Path, **settings: str) -> Iterator[tuple[str, IO[str]]]:
    """Run a service that may open few files; its URL, and its log."""
    port = free_port()
    with tempfile.TemporaryFile("w+") as log, start_service(model, port, settings, stderr=log.fileno()) as process:
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (OPEN_FILES, OPEN_FILES))
        try:
            wait_until_ready(url := f"http://127.0.0.1:{port}", process)
            yield url, log
        finally:
            stop(process)


@pytest.fixture(scope="module")
def crowded(phantom_folder: Path) -> Iterator[str]:
    """The URL of a service that may open few files and answers two requests at a time."""
    with few_files(phantom_folder, workers="1", max_requests="2") as (url, _):
        yield url


@pytest.fixture(scope="module")
def service(phantom_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningService, Path]]:
    """A service, and the file of its log."""
    log = tmp_path_factory.mktemp("service") / "log"
    with log.open("w") as file, running_service(phantom_folder, {"upload_s": "5"}, stderr=file.fileno()) as service:
        yield service, log


def upload(*headers: str, path: str = "/classify", body: bytes = FRAME) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: x", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def test_connections_without_requests_keep_no_client_out(phantom_folder: Path) -> None:
    with few_files(phantom_folder) as (url, log):
        held = [socket.create_connection(address(url), timeout=TIMEOUT_S) for _ in range(3 * OPEN_FILES)]
        statuses = [httpx2.get(f"{url}/health/live", timeout=TIMEOUT_S).status_code for _ in range(20)]
        assert set(statuses) <= {200, 503}
        time.sleep(1.5)  # the connections that came last are idle by now
        assert [httpx2.get(f"{url}/health/live", timeout=TIMEOUT_S).status_code for _ in range(20)] == [200] * 20
        assert httpx2.post(f"{url}/classify", content=FRAME).status_code == 200
        for connection in held:
            connection.close()
        log.seek(0)
        lines = [line for line in log if "connection" in line]
        assert any("at their limit" in line for line in lines)
        assert len(lines) < 20


def test_a_process_without_free_files_logs_it_once_per_second_and_recovers(
    service: tuple[RunningService, Path],
) -> None:
    (process, url), log = service
    before = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
    used = len(list(Path(f"/proc/{process.pid}/fd").iterdir()))
    resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (used + 5, before[1]))
    held = [socket.create_connection(address(url), timeout=TIMEOUT_S) for _ in range(50)]
    time.sleep(2.5)
    resource.prlimit(process.pid, resource.RLIMIT_NOFILE, before)
    assert httpx2.get(f"{url}/health/live", timeout=TIMEOUT_S).status_code == 200
    for connection in held:
        connection.close()
    assert 1 <= log.read_text().count("no connection can be accepted") <= 4


@pytest.mark.parametrize("headers", [(), ("Connection: close",)], ids=["keep-alive", "close"])
@pytest.mark.parametrize(("clients", "more"), [(30, 6_000_000), (OPEN_FILES, 100_000)], ids=["large", "many"])
def test_every_request_under_overload_is_answered(crowded: str, headers: tuple[str], clients: int, more: int) -> None:
    """Uploads that do not fit into the sockets' buffers, and more clients than files: nobody is reset."""
    big = upload(*headers, body=FRAME + bytes(more))

    def client(_number: int) -> Counter[bytes]:
        statuses = Counter[bytes]()
        connection: socket.socket | None = None
        for _turn in range(5):
            connection = connection or socket.create_connection(address(crowded), timeout=TIMEOUT_S)
            connection.sendall(big)
            head, _ = read_reply(connection)
            statuses[head[9:12]] += 1
            if b"connection: close" in head.lower():
                assert connection.recv(1) == b""
                connection.close()
                connection = None
        if connection is not None:
            connection.close()
        return statuses

    with ThreadPoolExecutor(clients) as threads:
        statuses = sum(threads.map(client, range(clients)), Counter[bytes]())
    assert statuses.keys() == {b"200", b"503"}
    assert statuses.total() == 5 * clients


def slow_reader(url: str) -> socket.socket:
    """Ask for a large picture, and read no more than the beginning of the reply."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.settimeout(TIMEOUT_S)
    connection.connect(address(url))
    connection.sendall(upload("Accept: image/png", path="/frame", body=NOISE))
    assert connection.recv(12) == b"HTTP/1.1 200"
    return connection


def test_a_reply_counts_until_it_is_read_and_has_its_time(phantom_folder: Path) -> None:
    def load() -> dict[str, Any]:
        found: dict[str, Any] = httpx2.get(f"{url}/health").json()["load"]
        return found

    settings = {"max_held_bytes": str(int(3.5 * len(NOISE))), "upload_s": "6"}
    with running_service(phantom_folder, settings, stderr=subprocess.DEVNULL) as (_, url):
        readers = [slow_reader(url) for _ in range(2)]
        assert 1.8 * len(NOISE) < load()["held_bytes"] < 2.2 * len(NOISE)
        assert load()["requests"] == 0  # a reply that waits for its client occupies no slot
        readers.append(slow_reader(url))
        refused = httpx2.post(f"{url}/classify", content=NOISE)
        assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")
        eventually(lambda: load()["held_bytes"] == 0)
        assert httpx2.post(f"{url}/classify", content=NOISE).status_code == 200
        assert all(rest(reader) < len(NOISE) for reader in readers)


def rest(connection: socket.socket) -> int:
    """Number of bytes that still come until the connection ends or is reset."""
    count = 0
    with connection, suppress(ConnectionResetError):
        while received := len(connection.recv(65536)):
            count += received
    return count


def test_a_reader_that_keeps_up_gets_all_of_a_large_reply(service: tuple[RunningService, Path]) -> None:
    (_, url), _ = service
    reply = httpx2.post(f"{url}/frame", content=NOISE, headers={"Accept": "image/png"})
    assert len(reply.content) == int(reply.headers["content-length"]) > 2**20


def test_many_readers_of_a_page_hold_little_memory(phantom_folder: Path) -> None:
    """The script of `/docs` has 1.4 MB; 60 unread copies of it would be 84 MB."""
    with running_service(phantom_folder, stderr=subprocess.DEVNULL) as (process, url):
        pages = Path(f"/proc/{process.pid}/statm")
        before = int(pages.read_text().split()[1])
        readers = []
        for _ in range(60):
            connection = socket.socket()
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.settimeout(TIMEOUT_S)
            connection.connect(address(url))
            connection.sendall(b"GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: x\r\n\r\n")
            assert connection.recv(12) == b"HTTP/1.1 200"
            readers.append(connection)
        grown = (int(pages.read_text().split()[1]) - before) * resource.getpagesize()
        for reader in readers:
            reader.close()
        assert grown < 20 * 2**20
