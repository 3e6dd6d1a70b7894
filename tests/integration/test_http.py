"""What RFC 9110 and RFC 9112 allow a client to send, byte by byte, to a running service."""

import json
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from bench.servers import running_service
from tests.support.images import encode, speckle
from tests.support.sockets import address, read_reply
from tests.support.waiting import TIMEOUT_S, eventually

FRAME = encode(speckle(300, 400))


@pytest.fixture(scope="module")
def url(phantom_folder: Path) -> Iterator[str]:
    with running_service(phantom_folder, {"max_upload_bytes": "1000000"}, stderr=subprocess.DEVNULL) as (_, url):
        yield url


@contextmanager
def connected(url: str) -> Iterator[socket.socket]:
    with socket.create_connection(address(url), timeout=TIMEOUT_S) as connection:
        yield connection


def head(target: str, *headers: str, version: str = "1.1") -> bytes:
    return "\r\n".join([f"{target} HTTP/{version}", "Host: x", *headers, "", ""]).encode()


def rest(connection: socket.socket) -> bytes:
    """All that comes until the service closes the connection, which it must not reset."""
    return b"".join(iter(lambda: connection.recv(65536), b""))


def exchange(url: str, sent: bytes, *, half_close: bool = False) -> bytes:
    with connected(url) as connection:
        connection.sendall(sent)
        if half_close:
            connection.shutdown(socket.SHUT_WR)
        return rest(connection)


def status(reply: bytes) -> int:
    return int(reply.split(b" ", 2)[1])


LENGTH = f"Content-Length: {len(FRAME)}"
CHUNKED = b"%x\r\n%s\r\n0\r\n\r\n" % (len(FRAME), FRAME)


@pytest.mark.parametrize("origin", ["http://x", "HTTP://x:80", "https://user@other.example:8443"])
def test_absolute_targets(url: str, origin: str) -> None:
    close = "Connection: close"
    assert status(exchange(url, head(f"GET {origin}/health/live", close))) == 200
    assert status(exchange(url, head(f"GET {origin}", close))) == 200  # the page
    assert status(exchange(url, head(f"OPTIONS {origin}", close))) == 204
    reply = exchange(url, head(f"POST {origin}/classify?top=1", LENGTH, close) + FRAME)
    assert len(json.loads(reply.partition(b"\r\n\r\n")[2])["predictions"]) == 1
    assert status(exchange(url, head(f"GET {origin}/nowhere", close))) == 404


@pytest.mark.parametrize("target", ["ftp://x/health/live", "x:443", "http:/health/live"])
def test_other_targets_lead_nowhere(url: str, target: str) -> None:
    assert status(exchange(url, head(f"GET {target}", "Connection: close"))) in (400, 404)


def test_options_for_the_whole_service_and_of_http_1_0(url: str) -> None:
    assert b"allow: GET, POST, DELETE, HEAD, OPTIONS\r\n" in exchange(url, head("OPTIONS *", "Connection: close"))
    assert status(exchange(url, b"OPTIONS / HTTP/1.0\r\n\r\n")) == 204
    assert exchange(url, b"HEAD /model HTTP/1.0\r\n\r\n").endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    "sent",
    [
        head("GET /model"),
        head("GET /model", version="1.0"),
        head("POST /classify", LENGTH) + FRAME,
        head("POST /classify", LENGTH, "Connection: close") + FRAME,
        head("POST /classify", "Transfer-Encoding: chunked") + CHUNKED,
        head("POST /classify/batch", LENGTH) + FRAME,
        head("POST /explain", LENGTH) + FRAME,
    ],
)
def test_a_client_that_shuts_its_sending_side_gets_its_answer(url: str, sent: bytes) -> None:
    reply = exchange(url, sent, half_close=True)
    assert status(reply) == 200
    assert b'"' in reply.partition(b"\r\n\r\n")[2]


def test_all_requests_of_a_pipeline_are_answered(url: str) -> None:
    sent = (head("POST /classify", LENGTH) + FRAME) * 3 + head("GET /model")
    for half_close in (True, False):
        last = b"" if half_close else head("GET /health/live", "Connection: close")
        assert exchange(url, sent + last, half_close=half_close).count(b"HTTP/1.1 200 ") == (4 if half_close else 5)


def test_empty_lines_before_a_request_are_ignored(url: str) -> None:
    post = head("POST /classify", LENGTH) + FRAME + b"\r\n"  # some clients end an upload so
    with connected(url) as connection:
        for _ in range(2):
            connection.sendall(b"\r\n" + post)
            assert status(read_reply(connection)[0]) == 200
    last = b"\r\n\r\n" + head("GET /health/live", "Connection: close")
    assert exchange(url, post + post + last).count(b"HTTP/1.1 200 ") == 3


def test_an_offer_to_speak_another_protocol_is_ignored(url: str) -> None:
    """As Java's client and `curl --http2` make it."""
    offer = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA")
    last = head("GET /health/live", "Connection: close")
    sent = head("POST /classify", LENGTH, *offer) + FRAME + head("GET /model", *offer) + last
    assert exchange(url, sent).count(b"HTTP/1.1 200 ") == 3


def test_a_client_that_ends_within_its_upload_has_left(url: str) -> None:
    assert exchange(url, head("POST /classify", LENGTH) + FRAME[:50], half_close=True) == b""
    assert exchange(url, b"POST /classify HTTP/1.1\r\nHost", half_close=True) == b""
    eventually(lambda: httpx2.get(f"{url}/health").json()["load"]["held_bytes"] == 0)


def test_continue_is_said_before_the_upload_and_not_before_a_refusal(url: str) -> None:
    expect = "Expect: 100-continue"
    with connected(url) as connection:
        for _ in range(2):
            connection.sendall(head("POST /classify", LENGTH, expect))
            assert connection.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
            connection.sendall(FRAME)
            assert status(read_reply(connection)[0]) == 200
    with connected(url) as connection:
        started = time.monotonic()
        connection.sendall(head("POST /classify", "Content-Length: 1000000000", expect))
        reply, _ = read_reply(connection)
        assert status(reply) == 413
        assert b"connection: close" in reply.lower()
        assert rest(connection) is not None
        assert time.monotonic() - started < 3


@pytest.mark.parametrize("order", [("Transfer-Encoding: chunked", LENGTH), (LENGTH, "Transfer-Encoding: chunked")])
def test_two_lengths_are_refused_and_end_the_connection(url: str, order: tuple[str, str]) -> None:
    smuggled = head("GET /health/live")
    reply = exchange(url, head("POST /classify", *order) + CHUNKED + smuggled)
    assert status(reply) == 400
    assert reply.count(b"HTTP/1.1 ") == 1
    assert b'"malformed-request"' in reply


@pytest.mark.parametrize(
    "sent",
    [
        b"nonsense\r\n\r\n",
        b"GET /health/live HTTP/1.1\r\n\r\n",  # without Host
        b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
        head("POST /classify", "Content-Length: 5", "Content-Length: 6") + b"abcdef",
        head("POST /classify", "Transfer-Encoding: chunked") + b"no chunk\r\n" + bytes(3_000_000),
        b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 3_000_000,
    ],
)
def test_what_is_not_http_gets_a_problem(url: str, sent: bytes) -> None:
    reply = exchange(url, sent)
    assert status(reply) == 400
    assert b'"malformed-request"' in reply
    assert b"connection: close" in reply.lower()


def test_a_refused_upload_is_dropped_and_the_refusal_arrives(url: str) -> None:
    """The client reads after it has written everything, as most do; the sockets' buffers are smaller."""
    for headers in (("Connection: close",), ()):
        body = bytes(50_000_000)
        reply = exchange(url, head("POST /classify", f"Content-Length: {len(body)}", *headers) + body)
        assert (status(reply), b'"upload-too-large"' in reply) == (413, True)
