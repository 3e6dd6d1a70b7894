"""The command `serve`, as a process of its own behind a real socket."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.support.images import encode, speckle
from tests.support.paths import ROOT

PATIENCE_S = 60


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start(folder: Path, port: int, stderr: int = subprocess.PIPE, **settings: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "service.cli", "serve", "--port", str(port), "--model", str(folder)]
    named = {f"FETAL_PLANES_{name.upper()}": value for name, value in ({"drain_s": "0"} | settings).items()}
    return subprocess.Popen(command, cwd=ROOT, env=os.environ | named, stderr=stderr, text=True)


def wait_until_ready(url: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        try:
            if httpx2.get(f"{url}/health/ready").status_code == 200:
                return
        except httpx2.TransportError:
            time.sleep(0.1)
    raise TimeoutError(url)


@pytest.fixture
def server(phantom_folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    port = free_port()
    process = start(phantom_folder, port)
    try:
        wait_until_ready(url := f"http://127.0.0.1:{port}")
        yield process, url
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_logs_in_json_and_ends_in_order(
    server: tuple[subprocess.Popen[str], str], sent: signal.Signals
) -> None:
    process, url = server
    frame = encode(speckle())
    reply = httpx2.post(f"{url}/classify", files={"file": frame}, headers={"x-request-id": "find-me"})
    assert reply.json()["frame"]["format"] == "png"
    assert "server" not in reply.headers
    process.send_signal(sent)
    _, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0
    lines = [json.loads(line) for line in errors.splitlines()]
    (request,) = [line for line in lines if line.get("request_id") == "find-me"]
    assert (request["route"], request["status"]) == ("/classify", 200)
    (ready,) = [line for line in lines if line["message"] == "ready"]
    assert ready["workers"] >= 1
    assert ready["workers_source"]


def test_an_upload_that_is_too_long_is_refused_before_it_is_sent(server: tuple[subprocess.Popen[str], str]) -> None:
    _, url = server
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE_S) as connection:
        connection.sendall(b"POST /classify HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n")
        reply = b"".join(iter(lambda: connection.recv(4096), b""))  # to the end: the server hangs up
    assert reply.startswith(b"HTTP/1.1 413 ")
    assert b"upload-too-large" in reply


def test_a_port_in_use_is_an_error(server: tuple[subprocess.Popen[str], str], phantom_folder: Path) -> None:
    _, url = server
    process = start(phantom_folder, int(url.rsplit(":", 1)[1]))
    _, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode not in (0, None)
    assert "address already in use" in errors
