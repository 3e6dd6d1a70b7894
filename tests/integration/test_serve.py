"""The command `serve`, as a process of its own behind a real socket."""

import json
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from bench.servers import running_service, start_service
from tests.support.images import encode, speckle
from tests.support.waiting import TIMEOUT_S


@pytest.fixture
def server(phantom_folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    with running_service(phantom_folder, stderr=subprocess.PIPE) as (process, url):
        yield process, url


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
    _, errors = process.communicate(timeout=TIMEOUT_S)
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
    with socket.create_connection((host, int(port)), timeout=TIMEOUT_S) as connection:
        connection.sendall(b"POST /classify HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n")
        reply = b"".join(iter(lambda: connection.recv(4096), b""))  # to the end: the server hangs up
    assert reply.startswith(b"HTTP/1.1 413 ")
    assert b"upload-too-large" in reply


def test_a_port_in_use_is_an_error(server: tuple[subprocess.Popen[str], str], phantom_folder: Path) -> None:
    _, url = server
    process = start_service(phantom_folder, int(url.rsplit(":", 1)[1]), stderr=subprocess.PIPE)
    _, errors = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode not in (0, None)
    assert "address already in use" in errors
