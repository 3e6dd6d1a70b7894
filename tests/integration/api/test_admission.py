"""What stands before an upload: bounds, deadlines, and clients that are slow or leave."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest
from fastapi.testclient import TestClient

from service.analysis.pipeline import Pipeline
from service.execution.work import StopReason, WorkStopped, current_work
from tests.support.images import animation, encode, speckle
from tests.support.phantom_package import Phantom
from tests.support.replies import assert_problem, runtime_of
from tests.support.waiting import TIMEOUT_S, eventually

GOOD = encode(speckle())


class Held:
    """Workers that wait, in `Pipeline.classify_frame`, until they are released; a run that is stopped ends its wait."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.release, self.stopped, self.begun = threading.Event(), list[StopReason](), 0
        classify = Pipeline.classify_frame

        def wait(pipeline: Pipeline, *arguments: Any, **options: Any) -> Any:
            self.begun += 1
            run, until = current_work(), time.monotonic() + TIMEOUT_S
            while not self.release.wait(0.01) and time.monotonic() < until:
                if run.stopped:
                    self.stopped.append(run.stopped)
                    raise WorkStopped(run.stopped)
            return classify(pipeline, *arguments, **options)

        monkeypatch.setattr(Pipeline, "classify_frame", wait)


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[Held]:
    held = Held(monkeypatch)
    yield held
    held.release.set()


def idle(client: TestClient) -> bool:
    runtime = runtime_of(client)
    pool, admission = runtime.model.pool, runtime.admission
    return (pool.busy, pool.waiting, admission.uploads, admission.held_bytes) == (0, 0, 0, 0)


@contextmanager
def asking(client: TestClient, count: int) -> Iterator[list[Future[Any]]]:
    with ThreadPoolExecutor(count) as threads:
        yield [threads.submit(client.post, "/classify", content=GOOD) for _ in range(count)]


def test_one_more_than_the_places_is_refused_at_once(serve: Callable[..., TestClient], held: Held) -> None:
    client = serve(Phantom(), workers=1, max_requests=3)
    with asking(client, 3) as accepted:
        eventually(lambda: runtime_of(client).admission.uploads == 3)
        reply = client.post("/classify", content=GOOD)
        assert_problem(reply, "overloaded")
        assert reply.headers["retry-after"] == "1"
        assert client.get("/health/live").status_code == 200
        load = client.get("/health").json()["load"]
        assert (load["busy_workers"], load["queued"], load["requests"], load["max_requests"]) == (1, 2, 3, 3)
        metrics = client.get("/metrics").text
        assert "fetal_planes_queue_depth 2.0" in metrics
        assert "fetal_planes_workers_busy 1.0" in metrics
        assert 'fetal_planes_refused_total{code="overloaded"} 1.0' in metrics
        held.release.set()
        assert [each.result().status_code for each in accepted] == [200] * 3
    eventually(lambda: idle(client))
    assert client.post("/classify", content=GOOD).status_code == 200


def test_bytes_that_do_not_fit_next_to_the_others_are_refused(serve: Callable[..., TestClient], held: Held) -> None:
    client = serve(Phantom(), workers=1, max_held_bytes=max(1024, int(1.5 * len(GOOD))))
    with asking(client, 1) as (accepted,):
        eventually(lambda: runtime_of(client).admission.held_bytes == len(GOOD))
        assert_problem(client.post("/classify", content=GOOD), "overloaded")
        assert_problem(client.post("/classify", content=iter([GOOD])), "overloaded")  # of no declared length
        held.release.set()
        assert accepted.result().status_code == 200
    eventually(lambda: idle(client))


def test_a_single_upload_always_fits(serve: Callable[..., TestClient]) -> None:
    client = serve(Phantom(), max_held_bytes=1024)
    assert client.post("/classify", content=GOOD + bytes(2000)).status_code == 200


def call(client: TestClient, receive: Any, headers: dict[str, str] | None = None) -> list[Any]:
    """Call the app itself; the messages that it sends."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    pairs = [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()]
    scope = {"type": "http", "method": "POST", "path": "/classify", "query_string": b"", "headers": pairs}
    assert client.portal is not None
    client.portal.call(client.app, scope, receive, send)
    return sent


def test_a_refusal_reads_nothing_of_the_upload(serve: Callable[..., TestClient], held: Held) -> None:
    client = serve(Phantom(), workers=1, max_requests=1)

    async def receive() -> Any:
        raise AssertionError("the upload was read")

    with asking(client, 1):
        eventually(lambda: runtime_of(client).admission.uploads == 1)
        modest = call(client, receive, {"content-length": "1000"})
        endless = call(client, receive)
        held.release.set()
    assert [modest[0]["status"], endless[0]["status"]] == [503, 503]
    assert b"connection" not in dict(modest[0]["headers"])
    assert dict(endless[0]["headers"])[b"connection"] == b"close"


@pytest.mark.parametrize("workers_busy", [False, True])
def test_a_deadline_ends_the_work(serve: Callable[..., TestClient], held: Held, workers_busy: bool) -> None:
    client = serve(Phantom(), workers=1)
    with asking(client, 1) if workers_busy else nullcontext():
        if workers_busy:
            eventually(lambda: runtime_of(client).model.pool.busy == 1)
        reply = client.post("/classify", content=GOOD, headers={"X-Deadline-Ms": "100"})
        assert_problem(reply, "deadline-passed")
        # What was at work was ended; what waited never began.
        eventually(lambda: runtime_of(client).model.pool.waiting == 0)
        if workers_busy:
            assert (held.begun, held.stopped) == (1, [])
        else:
            eventually(lambda: held.stopped == [StopReason.DEADLINE])
        held.release.set()
    eventually(lambda: idle(client))


@pytest.mark.parametrize("path", ["/classify/batch", "/exam"])
@pytest.mark.parametrize("accept", ["application/json", "text/html"])
def test_many_frames_have_the_same_deadline(
    serve: Callable[..., TestClient], held: Held, path: str, accept: str
) -> None:
    client = serve(Phantom(), workers=2)
    headers = {"X-Deadline-Ms": "150", "Accept": accept}
    files = [("files", ("a.png", GOOD)), ("files", ("b.tiff", animation("TIFF", [speckle()] * 20)))]
    assert_problem(client.post(path, files=files, headers=headers), "deadline-passed")
    eventually(lambda: idle(client))
    assert set(held.stopped) == {StopReason.DEADLINE}
    held.release.set()
    assert client.post(path, files=files, headers={"X-Deadline-Ms": "60000"}).status_code == 200


def test_the_service_has_a_deadline_that_a_header_only_shortens(serve: Callable[..., TestClient], held: Held) -> None:
    client = serve(Phantom(), workers=1, deadline_s=0.1)
    assert_problem(client.post("/classify", content=GOOD), "deadline-passed")
    reply = client.post("/classify", content=GOOD, headers={"X-Deadline-Ms": "999999999"})
    assert_problem(reply, "deadline-passed")


@pytest.mark.parametrize("header", ["", "soon", "-1", "1.5", "1e3", "9" * 10, "٣"])
def test_a_deadline_is_a_whole_number(client: TestClient, header: str) -> None:
    reply = client.post("/classify", content=GOOD, headers=[(b"x-deadline-ms", header.encode())])
    assert_problem(reply, "bad-parameter")


class Leaver:
    """A client that sends a frame and then leaves."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = list(pieces)
        self.close = threading.Event()

    async def __call__(self) -> Any:
        if self.pieces:
            return {"type": "http.request", "body": self.pieces.pop(0), "more_body": bool(self.pieces)}
        while not self.close.is_set():
            await asyncio.sleep(0.01)
        return {"type": "http.disconnect"}


def test_a_client_that_leaves_frees_worker_and_place(serve: Callable[..., TestClient], held: Held) -> None:
    client = serve(Phantom(), workers=1)
    working, waiting = Leaver(GOOD), Leaver(GOOD)
    pool = runtime_of(client).model.pool
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(call, client, working)
        eventually(lambda: pool.busy == 1)
        second = threads.submit(call, client, waiting)
        eventually(lambda: pool.waiting == 1)
        waiting.close.set()
        assert second.result(TIMEOUT_S) == []
        assert (pool.waiting, held.begun) == (0, 1)  # dropped before it began
        working.close.set()
        assert first.result(TIMEOUT_S) == []
    eventually(lambda: idle(client))
    assert held.stopped == [StopReason.CLIENT_LEFT]
    held.release.set()
    assert client.post("/classify", content=GOOD).status_code == 200
    assert 'status="499"} 2.0' in client.get("/metrics").text


class Dripper:
    """A client that sends a byte, and then nothing more."""

    def __init__(self) -> None:
        self.sent = False

    async def __call__(self) -> Any:
        if self.sent:
            await asyncio.sleep(TIMEOUT_S)
        self.sent = True
        return {"type": "http.request", "body": b"\x89", "more_body": True}


def test_an_upload_has_its_time(serve: Callable[..., TestClient]) -> None:
    client = serve(Phantom(), upload_s=0.2)
    start, body = call(client, Dripper())
    assert start["status"] == 408
    assert b'"upload-too-slow"' in body["body"]
    assert dict(start["headers"])[b"connection"] == b"close"
    assert idle(client)


def test_the_client_s_deadline_counts_its_upload(client: TestClient) -> None:
    start, body = call(client, Dripper(), {"X-Deadline-Ms": "100"})
    assert start["status"] == 504
    assert b'"deadline-passed"' in body["body"]


def test_slow_uploads_do_not_keep_others_out(serve: Callable[..., TestClient]) -> None:
    client = serve(Phantom(), max_requests=2, upload_s=3)
    with ThreadPoolExecutor(2) as threads:
        slow = [threads.submit(call, client, Dripper()) for _ in range(2)]
        eventually(lambda: runtime_of(client).admission.held_bytes == 2)
        eventually(lambda: runtime_of(client).admission.uploads == 0)  # they have lent their places
        assert [client.post("/classify", content=GOOD).status_code for _ in range(5)] == [200] * 5
        assert [each.result(TIMEOUT_S)[0]["status"] for each in slow] == [408, 408]
    assert idle(client)


def test_a_single_request_gets_every_core_and_a_busy_service_gives_each_one(serve: Callable[..., TestClient]) -> None:
    client = serve(Phantom(), workers=3)
    client.post("/classify", content=GOOD)
    assert 'fetal_planes_inferences_total{threads="3"} 1.0' in client.get("/metrics").text
    release = threading.Event()
    pool = runtime_of(client).model.pool

    async def occupy() -> None:
        await pool.run(release.wait, TIMEOUT_S)

    assert client.portal is not None
    with ThreadPoolExecutor(1) as threads:
        other = threads.submit(client.portal.call, occupy)
        eventually(lambda: pool.busy == 1)
        client.post("/classify", content=GOOD)
        release.set()
        other.result()
    metrics = client.get("/metrics").text
    assert 'fetal_planes_inferences_total{threads="3"} 1.0' in metrics
    assert 'fetal_planes_inferences_total{threads="1"} 1.0' in metrics
    assert client.get("/health").json()["workers"]["threads_for_single_request"] == 3
