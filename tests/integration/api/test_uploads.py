"""Uploads stay in memory, within their limit, and never wait for one another."""

import asyncio
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from service.analysis.pipeline import Pipeline
from service.imaging.letterbox import crop_and_letterbox
from service.schemas.manifest import Preprocessing
from tests.support.disk_watch import WATCHING
from tests.support.images import encode, speckle
from tests.support.phantom_package import Phantom


@pytest.mark.parametrize("path", ["/classify", "/explain"])
def test_nothing_is_written_to_disk(client: TestClient, disk: list[str], path: str) -> None:
    rng = np.random.default_rng(0)
    data = encode(rng.integers(0, 256, (2000, 3000), np.uint8))  # 6 MB: frameworks spool from 1 MB
    client.post(path, content=encode(speckle()))  # whatever is imported on first use is imported now
    WATCHING.set()
    Path(os.devnull).write_bytes(b"")
    assert disk.pop() == os.devnull  # the watch works
    assert client.post(path, content=data).status_code == 200
    assert client.post(path, files={"file": data}).status_code == 200
    assert disk == []


def send(client: TestClient, headers: dict[str, str], chunk: bytes, chunks: int) -> tuple[int, int]:
    """Call the app itself with a body in chunks; the status, and how many chunks it asked for."""
    asked, statuses = 0, []

    async def receive() -> dict[str, Any]:
        nonlocal asked
        asked += 1
        return {"type": "http.request", "body": chunk, "more_body": asked < chunks}

    async def reply(message: Any) -> None:
        statuses.append(message.get("status"))

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/classify",
        "raw_path": b"/classify",
        "root_path": "",
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "client": None,
        "server": None,
    }
    assert client.portal is not None
    client.portal.call(client.app, scope, receive, reply)
    return int(statuses[0] or 0), asked


@pytest.mark.parametrize("headers", [{}, {"content-type": "multipart/form-data; boundary=x"}])
def test_an_endless_upload_is_cut_at_the_limit(serve: Callable[..., TestClient], headers: dict[str, str]) -> None:
    client = serve(Phantom(), max_upload_bytes=2**20)
    start = b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\n' if headers else b""
    chunk = start + bytes(2**16 - len(start))
    assert send(client, headers, chunk, 10**9) == (413, 17)


def test_content_length_alone_is_enough(client: TestClient) -> None:
    assert send(client, {"content-length": str(10**12)}, b"", 10**9) == (413, 0)


def test_a_client_that_leaves_is_no_error(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    sent: list[Any] = []

    async def reply(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/classify", "query_string": b"", "headers": []}
    assert client.portal is not None
    client.portal.call(client.app, scope, receive, reply)
    assert sent == []
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_answers_are_never_swapped(client: TestClient, phantom: Phantom) -> None:
    preprocessing = Preprocessing(size=phantom.size, crop="none")
    frames = [speckle(40 + seed, 90 - seed, seed) for seed in range(24)]
    truths = [phantom.probabilities(crop_and_letterbox(pixels, preprocessing)[0]) for pixels in frames]
    assert len({tuple(truth) for truth in truths}) == len(frames)
    uploads = [encode(pixels) for pixels in frames]

    def ask(number: int) -> bool:
        frame = number % len(frames)
        path = "/explain?overlay=false" if number % 3 else "/classify"
        answer = client.post(path, content=uploads[frame], headers={"x-request-id": str(number)}).json()
        best = answer["predictions"][0]
        truth = float(truths[frame].max())
        height, width = frames[frame].shape
        return bool(
            answer["request_id"] == str(number)
            and (answer["frame"]["width"], answer["frame"]["height"]) == (width, height)
            and best["plane"] == phantom.planes[int(truths[frame].argmax())]
            and abs(best["probability"] - truth) < 1e-5
        )

    with ThreadPoolExecutor(16) as threads:
        assert all(threads.map(ask, range(240)))


def test_the_event_loop_is_free_while_all_workers_are_busy(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    release, classify = threading.Event(), Pipeline.classify

    def slow(self: Pipeline, *arguments: Any, **options: Any) -> Any:
        assert threading.current_thread().name.startswith("worker")
        assert release.wait(20)
        return classify(self, *arguments, **options)

    monkeypatch.setattr(Pipeline, "classify", slow)
    with ThreadPoolExecutor(8) as threads:
        waiting = [threads.submit(client.post, "/classify", content=encode(speckle())) for _ in range(8)]
        try:
            assert client.get("/health/live").status_code == 200
            assert client.get("/health/ready").status_code == 200
            assert not any(each.done() for each in waiting)
        finally:
            release.set()
        assert [each.result().status_code for each in waiting] == [200] * 8


def test_the_pool_is_as_wide_as_asked(serve: Callable[..., TestClient], monkeypatch: pytest.MonkeyPatch) -> None:
    client = serve(Phantom(), workers=3)
    at_once, most, lock, classify = 0, 0, threading.Lock(), Pipeline.classify

    def counted(self: Pipeline, *arguments: Any, **options: Any) -> Any:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        asyncio.run(asyncio.sleep(0.05))
        with lock:
            at_once -= 1
        return classify(self, *arguments, **options)

    monkeypatch.setattr(Pipeline, "classify", counted)
    with ThreadPoolExecutor(9) as threads:
        list(threads.map(lambda _: client.post("/classify", content=encode(speckle())), range(12)))
    assert most == 3
    assert client.get("/health").json()["workers"] == {
        "count": 3,
        "source": "setting",
        "threads_per_inference": 1,
        "threads_for_single_request": 3,
    }


def test_a_form_of_parameters_is_refused_at_its_first_part(client: TestClient) -> None:
    disposition = b'Content-Disposition: form-data; name="files"; filename="a"' + b";a=b" * 3_000
    body = (b"--XB\r\n" + disposition + b"\r\n\r\nx\r\n") * 500 + b"--XB--\r\n"
    headers = {"content-type": "multipart/form-data; boundary=XB"}
    reply = client.post("/classify/batch", content=body, headers=headers)
    assert (reply.status_code, reply.json()["code"]) == (400, "malformed-request")
    assert "parameters" in reply.json()["detail"]
