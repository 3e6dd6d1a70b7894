"""The client against the service itself, and against services that are busy, gone or broken."""

import asyncio
import io
import os
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from fetal_planes_client import (
    AsyncClient,
    BatchEnd,
    Client,
    CutShortError,
    FrameAnswer,
    FrameProblem,
    NamedUpload,
    RefusedError,
    UnreachableError,
    UnreadableReplyError,
    Upload,
)
from fetal_planes_client.messages import read_retry_after
from tests.support.images import animation, encode, speckle
from tests.support.phantom_package import Phantom

GOOD = encode(speckle())
LOOP = animation("PNG", [speckle(seed=seed) for seed in range(4)])


@pytest.fixture
def asked(client: TestClient) -> Iterator[Client]:
    """A client of the service that the test client serves."""
    with Client("http://testserver", transport=client._transport) as asked:
        yield asked


def test_a_frame_is_classified(asked: Client, client: TestClient, tmp_path: Path) -> None:
    path = tmp_path / "frame.png"
    path.write_bytes(GOOD)
    answer = client.post("/classify", content=GOOD).json()
    with path.open("rb") as opened:
        found = asked.classify(opened).model_dump(mode="json")
    assert found | {"request_id": ""} == answer | {"request_id": ""}
    for upload in (GOOD, path, str(path), io.BytesIO(GOOD)):
        found = asked.classify(upload).model_dump(mode="json")
        assert found | {"request_id": ""} == answer | {"request_id": ""}
    assert len(asked.classify(LOOP, index=2, top=5).predictions) == 5
    assert asked.classify(LOOP, index=2).frame.index == 2


def test_a_frame_is_explained(asked: Client) -> None:
    found = asked.explain(LOOP, index=1, target="other")
    assert (found.explanation.target, found.frame.index, found.explanation.overlay) == ("other", 1, None)
    picture = asked.overlay(GOOD, target="other", media_type="image/png")
    assert Image.open(io.BytesIO(picture)).format == "PNG"


def test_a_batch(asked: Client, tmp_path: Path) -> None:
    path = tmp_path / "loop.png"
    path.write_bytes(LOOP)
    lines = list(asked.classify_batch([GOOD, path, b"text"], every=2, limit=5, top=3))
    assert [type(line) for line in lines] == [FrameAnswer] * 3 + [FrameProblem, BatchEnd]
    assert isinstance(lines[1], FrameAnswer)
    assert (lines[1].source.name, len(lines[1].predictions)) == ("loop.png", 3)


def test_the_names_of_a_batch(asked: Client, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(GOOD)
    with path.open("rb") as opened:
        *lines, _ = asked.classify_batch([GOOD, path, str(path), opened, io.BytesIO(GOOD)])
    names = [line.source.name for line in lines if isinstance(line, FrameAnswer)]
    assert names == ["0", "a.png", "a.png", "a.png", "4"]


def test_a_file_of_any_kind_can_be_named(asked: Client, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(GOOD)
    path = tmp_path / "a.png"
    with tempfile.NamedTemporaryFile(suffix=".png") as temporary, path.open("rb") as opened:
        temporary.write(GOOD)
        temporary.seek(0)
        files: list[Upload] = [NamedUpload("0", GOOD), NamedUpload("1", path), NamedUpload("2", opened), temporary]
        *lines, _ = asked.classify_batch(files)
    names = [line.source.name for line in lines if isinstance(line, FrameAnswer)]
    assert names == ["0", "1", "2", Path(temporary.name).name]


def test_a_name_that_is_not_utf_8_is_sent_as_text(asked: Client, tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"a\xff.png")
    path.write_bytes(GOOD)
    first = next(asked.classify_batch([path]))
    assert isinstance(first, FrameAnswer)
    assert first.source.name == r"a\xff.png"


def test_a_file_that_is_open_for_text_is_refused_here(asked: Client, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("text")
    with (tmp_path / "a.txt").open() as opened, pytest.raises(TypeError, match="rb"):
        asked.classify(opened)  # type: ignore[arg-type]


@pytest.mark.parametrize("one", ["a.png", Path("a.png"), GOOD])
def test_one_file_is_not_a_list(asked: Client, one: Any) -> None:
    with pytest.raises(TypeError, match="list of files"):
        next(asked.classify_batch(one))


def test_an_exam(asked: Client) -> None:
    assert asked.exam([GOOD, LOOP], protocol="cervix").protocol.name == "Cervix"
    assert asked.exam_page([GOOD], every=2, limit=1).startswith("<!doctype html>")


def test_an_exam_keeps_a_choice_and_counts_files_that_were_not_sent(asked: Client) -> None:
    twice = [GOOD, GOOD + b"\0"]  # the same frame in two files: the first is the most probable one of its plane
    (plane,) = [each for each in asked.exam(twice).planes if each.best]
    assert plane.best is not None
    assert (plane.chosen, plane.best.source.file) == (False, 0)
    report = asked.exam(twice, protocol="cervix", chosen=[(1, 0), (0, 99)], unread=3)
    (plane,) = [each for each in report.planes if each.best]
    assert plane.best is not None
    assert (plane.chosen, plane.best.source.file) == (True, 1)
    assert [(item.min, item.state) for item in report.items] == [(3, "not-read-yet")]
    assert (report.files_left, report.complete) == (3, False)
    assert "3 of 5 files left" in asked.exam_page(twice, unread=3)


def test_an_option_without_effect_is_not_sent() -> None:
    """A service that does not know it yet would refuse it."""
    sent: list[httpx2.URL] = []

    def reply(request: httpx2.Request) -> httpx2.Response:
        sent.append(request.url)
        return httpx2.Response(503)

    with Client("http://x", tries=1, transport=httpx2.MockTransport(reply)) as client:
        for options in ({}, {"chosen": [(0, 1), (2, 3)], "unread": 1}):
            with pytest.raises(RefusedError):
                client.exam([GOOD], **options)  # type: ignore[arg-type]
    assert [dict(url.params) for url in sent] == [{"every": "1"}, {"every": "1", "chosen": "0:1,2:3", "unread": "1"}]


def test_the_model(asked: Client) -> None:
    assert asked.model().name == "phantom"


def test_a_refusal_is_reported(asked: Client) -> None:
    with pytest.raises(RefusedError, match="bytes are text") as caught:
        asked.classify(b"text")
    assert caught.value.status == 415
    assert caught.value.problem is not None
    assert caught.value.problem.code == "unsupported-format"


Reply = Callable[[httpx2.Request], httpx2.Response]
CLASSIFIED = {
    "predictions": [{"plane": "other", "label": "Other", "probability": 1.0}],
    "abstain": False, "abstain_reason": None, "request_id": "r",
    "frame": {"format": "png", "width": 1, "height": 1, "index": 0, "count": 1, "crop": [0, 0, 1, 1],
              "crop_source": "none"},
    "model": {"name": "m", "version": "1", "sha256": "0"},
}  # fmt: skip


class Busy:
    """A service that is busy for a while."""

    def __init__(self, times: int, retry_after: str | None = "2") -> None:
        self.times, self.headers = times, {} if retry_after is None else {"Retry-After": retry_after}
        self.requests: list[httpx2.Request] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        if len(self.requests) <= self.times:
            return httpx2.Response(503, headers=self.headers)
        return httpx2.Response(200, json=CLASSIFIED)


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What clients sleep, without sleeping."""
    found: list[float] = []

    async def sleep(seconds: float) -> None:
        found.append(seconds)

    monkeypatch.setattr("fetal_planes_client.clients.time.sleep", found.append)
    monkeypatch.setattr("fetal_planes_client.clients.asyncio.sleep", sleep)
    return found


def both(reply: Reply, **options: Any) -> list[Callable[[], Any]]:
    """One frame classified by each of the two clients."""

    def wait() -> Any:
        with Client("http://service/below", transport=httpx2.MockTransport(reply), **options) as client:
            return client.classify(GOOD)

    async def go_on() -> Any:
        async with AsyncClient("http://service/below", transport=httpx2.MockTransport(reply), **options) as client:
            return await client.classify(GOOD)

    return [wait, lambda: asyncio.run(go_on())]


@pytest.mark.parametrize("which", [0, 1], ids=["blocking", "nonblocking"])
class TestBoth:
    def test_a_busy_service_is_asked_again_after_the_pause_that_it_asks_for(
        self, pauses: list[float], which: int
    ) -> None:
        busy = Busy(3)
        assert both(busy)[which]().predictions[0].plane == "other"
        assert pauses == [2, 2, 2]
        assert [(request.url.path, request.read()) for request in busy.requests] == [("/below/classify", GOOD)] * 4

    def test_a_service_that_stays_busy_is_given_up(self, pauses: list[float], which: int) -> None:
        busy = Busy(99, None)
        with pytest.raises(RefusedError) as caught:
            both(busy, tries=4)[which]()
        assert (caught.value.status, caught.value.problem) == (503, None)
        assert (len(busy.requests), pauses) == (4, [1, 1, 1])

    @pytest.mark.parametrize("status", [400, 413, 415, 422, 500, 504])
    def test_no_other_refusal_is_asked_again(self, pauses: list[float], which: int, status: int) -> None:
        with pytest.raises(RefusedError):
            both(lambda _: httpx2.Response(status))[which]()
        assert pauses == []

    def test_an_api_key_is_sent(self, which: int) -> None:
        sent = Busy(0)
        both(sent, api_key="secret")[which]()
        both(sent)[which]()
        assert [request.headers.get("x-api-key") for request in sent.requests] == ["secret", None]


def test_the_two_clients_have_the_same_methods() -> None:
    def methods(kind: type) -> set[str]:
        return {name for name in dir(kind) if not name.startswith("_")} - {"close", "aclose"}

    assert methods(Client) == methods(AsyncClient)


def test_the_other_client_asks_the_same(client: TestClient) -> None:
    seen: list[tuple[str, str, bytes]] = []

    def reply(request: httpx2.Request) -> httpx2.Response:
        body = request.read()
        boundary = request.headers.get("content-type", "").rpartition("boundary=")[2].encode() or b"-"
        seen.append((request.method, str(request.url), body.replace(boundary, b"")))
        headers = {name: request.headers[name] for name in ("content-type", "accept") if name in request.headers}
        answer = client.request(request.method, str(request.url), content=body, headers=headers)
        return httpx2.Response(answer.status_code, content=answer.content)

    def wait() -> list[Any]:
        with Client("http://testserver", transport=httpx2.MockTransport(reply)) as asked:
            return [
                asked.explain(LOOP, index=1, target="other").explanation,
                asked.overlay(GOOD),
                [type(line) for line in asked.classify_batch([GOOD, LOOP], every=2)],
                asked.exam([GOOD], protocol="cervix", chosen=[(0, 0)], unread=1).items,
                len(asked.exam_page([GOOD])),
                asked.model(),
                asked.protocols(),
            ]

    async def go_on() -> list[Any]:
        async with AsyncClient("http://testserver", transport=httpx2.MockTransport(reply)) as asked:
            return [
                (await asked.explain(LOOP, index=1, target="other")).explanation,
                await asked.overlay(GOOD),
                [type(line) async for line in asked.classify_batch([GOOD, LOOP], every=2)],
                (await asked.exam([GOOD], protocol="cervix", chosen=[(0, 0)], unread=1)).items,
                len(await asked.exam_page([GOOD])),
                await asked.model(),
                await asked.protocols(),
            ]

    assert wait() == asyncio.run(go_on())
    assert seen[:7] == seen[7:]


def test_a_batch_without_its_end_is_cut_short(asked: Client) -> None:
    whole = "".join(line.model_dump_json() + "\n" for line in asked.classify_batch([GOOD]))
    first = whole.splitlines()[0] + "\n"
    with Client("http://x", transport=httpx2.MockTransport(lambda _: httpx2.Response(200, text=first))) as client:
        lines = client.classify_batch([GOOD])
        assert isinstance(next(lines), FrameAnswer)
        with pytest.raises(CutShortError):
            next(lines)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7), ("0", 0), ("99999999999", 60), (None, 1), ("soon", 1), ("-3", 1),
     ("Mon, 23 Nov 2026 00:00:09 GMT", 9), ("Mon, 23 Nov 2026 09:00:00 GMT", 60), ("Sun, 22 Nov 2026 00:00:00 GMT", 0)],
)  # fmt: skip
def test_retry_after(header: str | None, seconds: float) -> None:
    assert read_retry_after(header, datetime(2026, 11, 23, tzinfo=UTC)) == seconds


def test_a_service_that_is_full_refuses_and_is_asked_again(serve: Callable[..., TestClient]) -> None:
    """With the real refusal of a real service, at full size."""
    served = serve(Phantom())
    admission = served.app.state.runtime.admission  # type: ignore[attr-defined]
    taken = admission.limits.uploads
    admission.uploads += taken

    class Emptying(httpx2.BaseTransport):
        def handle_request(self, request: httpx2.Request) -> httpx2.Response:
            reply = served._transport.handle_request(request)
            statuses.append(reply.status_code)
            admission.uploads = 0
            return reply

    statuses: list[int] = []
    with Client("http://testserver", transport=Emptying()) as client:
        assert client.classify(GOOD).frame.format == "png"
    assert statuses == [503, 200]


def _fail(_: httpx2.Request) -> httpx2.Response:
    raise httpx2.ConnectError("refused")


def test_a_service_that_is_gone_raises_an_error_of_the_client() -> None:
    with Client("http://testserver", transport=httpx2.MockTransport(_fail)) as client:
        for ask in (lambda: client.classify(GOOD), lambda: next(client.classify_batch([GOOD])), client.model):
            with pytest.raises(UnreachableError):
                ask()

    async def ask_async() -> None:
        async with AsyncClient("http://testserver", transport=httpx2.MockTransport(_fail)) as client:
            await client.model()

    with pytest.raises(UnreachableError):
        asyncio.run(ask_async())


def test_a_reply_that_breaks_off_raises_an_error_of_the_client() -> None:
    class Broken(httpx2.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            yield b"{"
            raise httpx2.ReadError("reset")

    transport = httpx2.MockTransport(lambda _: httpx2.Response(200, stream=Broken()))
    with Client("http://testserver", transport=transport) as client, pytest.raises(UnreachableError):
        client.model()


@pytest.mark.parametrize("url", ["http://[::1", "http://x:port", "127.0.0.1:8000", "ftp://x"])
def test_an_address_that_is_none_raises_an_error_of_the_client(url: str) -> None:
    with pytest.raises(UnreachableError), Client(url) as client:
        client.model()


@pytest.mark.parametrize("body", ["<html>Log in</html>", "{}", "[]", ""])
def test_a_reply_of_another_service_raises_an_error_of_the_client(body: str) -> None:
    transport = httpx2.MockTransport(lambda _: httpx2.Response(200, text=f"{body}\n"))
    with Client("http://x", transport=transport) as client:
        for ask in (lambda: client.classify(GOOD), lambda: next(client.classify_batch([GOOD])), client.model):
            with pytest.raises(UnreadableReplyError):
                ask()
