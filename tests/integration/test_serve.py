"""The command `serve`, as a process of its own behind a real socket."""

import fcntl
import json
import os
import pty
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx2
import pytest

from bench.servers import ROOT, RunningService, free_port, running_service, start_service, wait_until_ready
from tests.support.images import encode, speckle
from tests.support.waiting import TIMEOUT_S, eventually


@pytest.fixture(scope="module")
def server(phantom_folder: Path) -> Iterator[RunningService]:
    """A service for tests that do not end it."""
    with running_service(phantom_folder, stderr=subprocess.DEVNULL) as service:
        yield service


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_logs_in_json_and_ends_in_order(phantom_folder: Path, sent: signal.Signals) -> None:
    with running_service(phantom_folder, stderr=subprocess.PIPE) as (process, url):
        frame = encode(speckle())
        reply = httpx2.post(f"{url}/classify", files={"file": frame}, headers={"x-request-id": "find-me"})
        assert reply.json()["frame"]["format"] == "png"
        assert "server" not in reply.headers
        process.send_signal(sent)
        _, errors = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0
    lines = [json.loads(line) for line in errors.splitlines()]
    (request,) = [line for line in lines if line.get("request_id") == "find-me"]
    assert (request["route"], request["status"]) == ("/classify", 200)
    (ready,) = [line for line in lines if line["message"] == "ready"]
    assert ready["workers"] >= 1
    assert ready["workers_source"]


def test_a_person_at_a_terminal_reads_the_address(phantom_folder: Path) -> None:
    master, terminal = pty.openpty()
    try:
        with running_service(phantom_folder, stderr=terminal) as (_, url):
            assert f"Open {url}" in os.read(master, 65_536).decode()
    finally:
        os.close(master)
        os.close(terminal)


def test_an_upload_that_is_too_long_is_refused_before_it_is_sent(server: RunningService) -> None:
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=TIMEOUT_S) as connection:
        connection.sendall(b"POST /classify HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n")
        reply = b"".join(iter(lambda: connection.recv(4096), b""))  # to the end: the server hangs up
    assert reply.startswith(b"HTTP/1.1 413 ")
    assert b"upload-too-large" in reply


def test_a_service_leaves_no_core_dump(server: RunningService) -> None:
    limits = Path(f"/proc/{server.process.pid}/limits").read_text()
    (line,) = [line for line in limits.splitlines() if line.startswith("Max core file size")]
    assert line.split()[4:6] == ["0", "0"]


def test_a_port_in_use_is_an_error(phantom_folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        process = start_service(phantom_folder, other.getsockname()[1], stderr=subprocess.PIPE)
        _, errors = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode not in (0, None)
    assert "address already in use" in errors


@contextmanager
def serving(command: Sequence[str], folder: Path, **more: Any) -> Iterator[subprocess.Popen[bytes]]:
    """Run `serve` with other options; the environment has what often stands in one by mistake."""
    hostile = {
        "FETAL_PLANES_DRAIN_S": "0",
        "FETAL_PLANES_WORKERS": "",
        "PROMETHEUS_MULTIPROC_DIR": str(folder / "missing"),
        "TMPDIR": "/missing",
        "HOME": "/missing",
        "TZ": "Not/AZone",
        "LC_ALL": "tlh_QO",
        "WEB_CONCURRENCY": "many",
        "SSL_CERT_FILE": "/missing",
    }
    command = [sys.executable, *command, "--model", str(folder)]
    with subprocess.Popen(command, env=os.environ | hostile, cwd=ROOT, stderr=subprocess.DEVNULL, **more) as process:
        try:
            yield process
        finally:
            process.terminate()
            assert process.wait(TIMEOUT_S) == 0


def answers(url: str, transport: httpx2.HTTPTransport | None = None) -> bool:
    with httpx2.Client(transport=transport, timeout=TIMEOUT_S) as client:
        reply = client.post(f"{url}/classify", content=encode(speckle()))
        return reply.is_success and client.get(f"{url}/metrics").is_success


def accepts(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as connection:
        return connection.connect_ex(str(path)) == 0


def test_it_serves_on_a_unix_socket(phantom_folder: Path) -> None:
    with TemporaryDirectory() as folder:  # with a short path
        path = Path(folder) / "s"
        with serving(["-m", "service.cli", "serve", "--uds", str(path)], phantom_folder):
            eventually(lambda: accepts(path))
            assert answers("http://service", httpx2.HTTPTransport(uds=str(path)))
        assert not path.exists()


def test_it_serves_on_both_kinds_of_addresses(phantom_folder: Path) -> None:
    port = free_port()
    with serving(["-m", "service.cli", "serve", "--host", "::", "--port", str(port)], phantom_folder):
        wait_until_ready(f"http://127.0.0.1:{port}")
        assert answers(f"http://127.0.0.1:{port}")
        assert answers(f"http://[::1]:{port}")


ACTIVATE = """
import os, sys
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "2"}
for number, fd in enumerate(sys.argv[1].split(","), 3):
    os.dup2(int(fd), number)
os.execv(sys.executable, [sys.executable, "-m", "service.cli", "serve", *sys.argv[2:]])
"""


def test_systemd_can_open_the_sockets(phantom_folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as first, socket.create_server(("127.0.0.1", 0)) as second:
        # Away from the numbers 3 and 4, which the program overwrites.
        fds = [fcntl.fcntl(each.fileno(), fcntl.F_DUPFD, 20) for each in (first, second)]
        with serving(["-c", ACTIVATE, ",".join(map(str, fds))], phantom_folder, pass_fds=fds):
            for each in (first, second):
                assert answers(f"http://127.0.0.1:{each.getsockname()[1]}")  # the queue of the socket waits
        for fd in fds:
            os.close(fd)


def test_it_serves_on_an_inherited_socket(phantom_folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as opened:
        fd = opened.fileno()
        with serving(["-m", "service.cli", "serve", "--fd", str(fd)], phantom_folder, pass_fds=[fd]):
            assert answers(f"http://127.0.0.1:{opened.getsockname()[1]}")
