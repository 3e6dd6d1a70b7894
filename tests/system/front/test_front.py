"""TLS in front of replicas: the shipped nginx.conf, run by a real nginx before two real services."""

import json
import re
import socket
import ssl
import threading
import time
from collections.abc import Iterator

import httpx2
import pytest
from pydantic import TypeAdapter

from service import errors
from service.api.forms import MAX_PART_HEADERS
from service.schemas.problems import ProblemDetails
from service.settings import Settings
from tests.support.images import encode, speckle
from tests.support.waiting import eventually
from tests.system.front.proxy import CONF, Front

FRAME = encode(speckle())
PROBLEM = TypeAdapter(ProblemDetails)


@pytest.fixture
def client(front: Front) -> Iterator[httpx2.Client]:
    with front.client() as client:
        yield client


def test_classifies_and_explains(client: httpx2.Client) -> None:
    reply = client.post("/classify", files={"file": FRAME})
    assert reply.status_code == 200, reply.text
    assert reply.json()["frame"]["format"] == "png"
    assert reply.headers["Strict-Transport-Security"]
    overlay = client.post("/explain", content=FRAME, headers={"Accept": "image/jpeg"})
    assert overlay.content.startswith(b"\xff\xd8\xff")
    assert client.get("/").headers["Content-Type"].startswith("text/html")


@pytest.mark.parametrize("path", ["/metrics", "/metrics/", "//metrics", "/%6detrics", "/x/../metrics", "/metrics?a=b"])
def test_metrics_are_not_for_everybody(front: Front, path: str) -> None:
    reply = ask(front, path)
    assert reply.startswith(b"HTTP/1.1 404 ")
    assert b"fetal_planes_" not in reply


def ask(front: Front, path: str) -> bytes:
    """The reply to a path that no client tidies up."""
    port = int(front.url.rsplit(":", 1)[1])
    with (
        socket.create_connection(("localhost", port), timeout=20) as plain,
        front.trust.wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        return b"".join(iter(lambda: connection.recv(4096), b""))


def test_health_is_for_everybody(client: httpx2.Client) -> None:
    assert client.get("/health/ready").status_code == client.get("/health/live").status_code == 200


def test_refusals_of_the_front_look_like_the_service_s(client: httpx2.Client) -> None:
    for reply, kind in (
        (client.get("/metrics"), errors.NotFound),
        (client.post("/classify", content=bytes(34 * 2**20)), errors.UploadTooLarge),
    ):
        problem = PROBLEM.validate_json(reply.content)
        assert reply.headers["Content-Type"] == "application/problem+json"
        assert (reply.status_code, problem.code, problem.type) == (kind.status, kind.code, kind.type_uri())
        assert problem.title == kind.title()
        assert problem.request_id == reply.headers["X-Request-ID"]


def test_the_service_refuses_an_upload_that_nginx_passes_on(client: httpx2.Client) -> None:
    """Repeat it: a replica that closes its connection while nginx still writes would count as dead."""
    for _ in range(4):
        reply = client.post("/classify", content=bytes(Settings().max_upload_bytes + 1))
        assert (reply.status_code, reply.json()["code"]) == (413, "upload-too-large")
        assert str(Settings().max_upload_bytes) in reply.json()["detail"]


def test_a_request_s_id_and_trace_go_through(front: Front, client: httpx2.Client) -> None:
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    reply = client.post("/classify", content=FRAME, headers={"X-Request-ID": "find-me", "traceparent": trace})
    assert reply.json()["request_id"] == reply.headers["X-Request-ID"] == "find-me"
    made = client.post("/classify?top=3", content=FRAME, headers={"X-Request-ID": "no good\tid"})
    assert re.fullmatch(r"[0-9a-f]{32}", made.json()["request_id"])
    ids = {"find-me", made.json()["request_id"]}
    eventually(lambda: ids <= {json.loads(line)["request_id"] for line in front.log().splitlines()})
    assert "top=3" not in front.log()
    (served,) = [line for line in front.replicas_log().splitlines() if "find-me" in line]
    assert json.loads(served)["trace_id"] == trace.split("-")[1]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_speaks_current_tls(front: Front, version: ssl.TLSVersion) -> None:
    assert handshake(front, version) == f"TLSv1.{version - ssl.TLSVersion.TLSv1}"


@pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning")
def test_speaks_no_older_tls(front: Front) -> None:
    with pytest.raises((ssl.SSLError, ConnectionError)):
        handshake(front, ssl.TLSVersion.TLSv1_1)


def handshake(front: Front, version: ssl.TLSVersion) -> str | None:
    context = ssl.create_default_context(cafile=front.folder / "certs" / "tls.crt")
    context.minimum_version = context.maximum_version = version
    if version < ssl.TLSVersion.TLSv1_2:
        context.set_ciphers("ALL:@SECLEVEL=0")  # else this end would be the one that refuses
    port = int(front.url.rsplit(":", 1)[1])
    with (
        socket.create_connection(("localhost", port), timeout=20) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        return connection.version()


def test_lines_of_a_batch_come_one_by_one(client: httpx2.Client) -> None:
    """Held back, its few kilobytes would come all at once, at the end."""
    frame = encode(speckle(800, 1000))
    came = [time.monotonic()]
    with client.stream("POST", "/classify/batch", files=[("files", frame)] * 30) as reply:
        assert reply.headers["Content-Type"] == "application/x-ndjson"
        for line in reply.iter_lines():
            came.append(time.monotonic())
            assert json.loads(line)
    assert len(came) == 1 + 31
    assert came[-1] - came[1] > 0.2 * (came[-1] - came[0])


def test_limits_are_in_step_with_the_service_s() -> None:
    conf, settings = (CONF / "nginx.conf").read_text(), Settings()
    one, many = (int(size) * 2**20 for size in re.findall(r"client_max_body_size (\d+)m;", conf))
    assert settings.max_upload_bytes + MAX_PART_HEADERS <= one <= settings.max_upload_bytes + 2**20
    assert settings.max_batch_bytes < many <= settings.max_batch_bytes + 2**20
    (wait,) = set(re.findall(r"^        proxy_read_timeout (\d+)s;", conf, re.MULTILINE))
    assert int(wait) > settings.deadline_s
    assert f"client_body_timeout {settings.upload_s:.0f}s;" in conf


def test_a_replica_s_end_costs_no_answer(front: Front) -> None:
    """Next to last: one replica is killed while requests are under way.

    Of an answer that it was writing at that moment a client has the head already, and asks for that one again.
    """
    statuses: list[int] = []
    cut_short: list[httpx2.TransportError] = []

    def ask_on() -> None:
        with front.client() as client:
            answered = 0
            while answered < 20 and len(cut_short) <= 4:
                try:
                    statuses.append(client.post("/classify", content=FRAME).status_code)
                    answered += 1
                except httpx2.RemoteProtocolError as error:
                    cut_short.append(error)

    askers = [threading.Thread(target=ask_on) for _ in range(4)]
    for asker in askers:
        asker.start()
    eventually(lambda: len(statuses) >= 10)
    next(iter(front.replicas.values())).kill()
    for asker in askers:
        asker.join()
    assert len(cut_short) <= len(askers)
    assert statuses == [200] * 80


def test_without_a_replica_the_front_is_not_ready(front: Front) -> None:
    """This test comes last, because it ends the other replica, too."""
    for replica in front.replicas.values():
        replica.kill()
        replica.wait()
    with front.client() as client:
        reply = client.post("/classify", content=FRAME)
    problem = PROBLEM.validate_json(reply.content)
    assert (reply.status_code, problem.code) == (errors.NotReady.status, errors.NotReady.code)
    assert int(reply.headers["Retry-After"]) > 0
