"""`POST /classify/batch`: each frame gets the answer that it would get alone, in its place."""

import asyncio
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from service.analysis.pipeline import Pipeline
from service.imaging.letterbox import PreparedFrame
from service.schemas.batch import Batch
from tests.support.dicom_objects import BASELINE, compressed, jpeg, native
from tests.support.disk_watch import WATCHING
from tests.support.images import animation, encode, speckle
from tests.support.phantom_package import Phantom
from tests.support.phantom_stills import KNOWN, still

STILLS = [speckle(40, 56, seed) for seed in range(6)]
GOOD = encode(STILLS[0])

Lines = list[dict[str, Any]]


def form(*files: bytes | tuple[str, bytes]) -> list[tuple[str, Any]]:
    return [("files", each if isinstance(each, tuple) else (f"{number}", each)) for number, each in enumerate(files)]


def ask(client: TestClient, *files: bytes | tuple[str, bytes], query: str = "") -> Lines:
    reply = client.post(f"/classify/batch{query}", files=form(*files))
    assert reply.status_code == 200, reply.text
    assert reply.headers["content-type"] == "application/x-ndjson"
    assert reply.headers["cache-control"] == "no-store"
    assert reply.text.endswith("\n")
    lines = [json.loads(line) for line in reply.text.splitlines()]
    assert {line["request_id"] for line in lines} == {reply.headers["x-request-id"]}
    return lines


def without(line: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in line.items() if name not in (*names, "request_id")}


LOOPS = {
    "png": animation("PNG", STILLS),
    "webp": animation("WEBP", STILLS, lossless=True),
    "tiff": animation("TIFF", STILLS),
    "dicom": native(STILLS),
    "compressed dicom": compressed(STILLS, BASELINE, jpeg, "MONOCHROME2"),
}


def test_each_still_is_answered_as_it_would_be_alone(client: TestClient) -> None:
    uploads = [encode(pixels, kind) for pixels, kind in zip(STILLS, ("PNG", "BMP", "TIFF", "JPEG"), strict=False)]
    *lines, end = ask(client, *uploads)
    for number, (line, upload) in enumerate(zip(lines, uploads, strict=True)):
        alone = client.post("/classify", content=upload).json()
        assert without(line, "source") == without(alone)
        assert line["source"] == {"file": number, "name": f"{number}", "frame": 0}
    counts = {"files": 4, "files_left": 0, "frames": 4, "refused": 0}
    assert end["summary"] == {**counts, "complete": True, "cines": [], "skipped": []}


@pytest.mark.parametrize("kind", LOOPS)
def test_each_frame_of_a_loop_is_answered_as_it_would_be_alone(client: TestClient, kind: str) -> None:
    *lines, end = ask(client, ("loop", LOOPS[kind]))
    assert len(lines) == 6
    for index, line in enumerate(lines):
        alone = client.post(f"/classify?frame={index}", content=LOOPS[kind]).json()
        assert without(line, "source") == without(alone)
        assert line["source"] == {"file": 0, "name": "loop", "frame": index}
    (cine,) = end["summary"]["cines"]
    assert (cine["file"], cine["name"], cine["count"], cine["frames"]) == (0, "loop", 6, 6)


@pytest.mark.parametrize("files", [(GOOD,), (b"text",), (GOOD, b"", LOOPS["png"])])
def test_the_lines_as_one_document(client: TestClient, files: tuple[bytes, ...]) -> None:
    *lines, end = ask(client, *files)
    reply = client.post("/classify/batch", files=form(*files), headers={"Accept": "application/json"})
    assert reply.headers["content-type"] == "application/json"
    document = reply.json()
    assert list(map(without, document["records"])) == list(map(without, lines))
    assert document["summary"] == end["summary"]
    assert {each["request_id"] for each in (document, *document["records"])} == {reply.headers["x-request-id"]}
    Batch.model_validate(document)


def test_every_limit_and_top(client: TestClient) -> None:
    *lines, end = ask(client, LOOPS["png"], GOOD, query="?every=2&limit=2&top=4")
    assert [(line["source"]["file"], line["frame"]["index"]) for line in lines] == [(0, 0), (0, 2), (1, 0)]
    assert all(len(line["predictions"]) == 4 for line in lines)
    assert end["summary"]["frames"] == 3
    assert end["summary"]["complete"] is True


def test_a_bad_file_costs_its_own_line_alone(client: TestClient) -> None:
    *lines, end = ask(client, GOOD, ("notes.txt", b"text"), GOOD[:60], b"", LOOPS["png"], GOOD)
    codes = [line.get("code") for line in lines]
    assert codes == [None, "unsupported-format", "unreadable-frame", "empty-upload", *[None] * 7]
    alone = client.post("/classify", content=b"text").json()
    assert without(lines[1], "source") == without(alone)
    assert lines[1]["source"] == {"file": 1, "name": "notes.txt", "frame": None}
    assert (end["summary"]["files"], end["summary"]["frames"], end["summary"]["refused"]) == (6, 8, 3)


def test_a_single_file_may_be_the_body(client: TestClient) -> None:
    reply = client.post("/classify/batch", content=LOOPS["webp"])
    *lines, end = [json.loads(line) for line in reply.text.splitlines()]
    assert [line["source"] for line in lines] == [{"file": 0, "name": None, "frame": index} for index in range(6)]
    assert end["summary"]["cines"][0]["name"] is None


def test_the_cine_is_reported_in_the_summary(client: TestClient, phantom: Phantom) -> None:
    """A loop made of stills: three shots, the last whose sweeps from one plane to another."""
    shown = (
        [("fetal_thorax", 0)] * 7 + [("maternal_cervix", 1)] * 5 + [("fetal_femur", 2)] * 6 + [("fetal_brain", 2)] * 6
    )
    shown[3] = ("fetal_brain", 0)  # a flicker
    end = ask(client, animation("TIFF", [still(phantom, *each) for each in shown]))[-1]
    (cine,) = end["summary"]["cines"]
    assert cine["cuts"] == [7, 12]
    assert [(each["start"], each["end"], each["plane"]) for each in cine["segments"]] == [
        (0, 6, "fetal_thorax"), (7, 11, "maternal_cervix"), (12, 17, "fetal_femur"), (18, 23, "fetal_brain")
    ]  # fmt: skip
    assert [each["frames"] for each in cine["segments"]] == [7, 5, 6, 6]
    best = {each["plane"]: each["frame"] for each in cine["best"]}
    assert list(best) == [plane for plane in phantom.planes if plane in KNOWN]
    assert all(shown[frame][0] == plane for plane, frame in best.items())
    assert best["fetal_brain"] >= 18
    assert cine["best"][0]["label"] == "Fetal brain"


def test_lines_are_sent_as_they_come(client: TestClient) -> None:
    """Asked of the app itself, since the test client hands out whole replies only."""
    boundary = b'--x\r\nContent-Disposition: form-data; name="files"\r\n\r\n'
    body = b"".join(boundary + GOOD + b"\r\n" for _ in range(20)) + b"--x--\r\n"
    sent: list[bytes] = []

    async def receive() -> dict[str, Any]:
        if not sent:
            sent.append(b"")
            return {"type": "http.request", "body": body}
        await asyncio.Event().wait()
        raise AssertionError

    async def reply(message: Any) -> None:
        sent.append(message.get("body", b""))

    headers = [(b"content-type", b"multipart/form-data; boundary=x")]
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "method": "POST",
        "headers": headers,
    }
    scope |= {"path": "/classify/batch", "query_string": b""}
    assert client.portal is not None
    client.portal.call(client.app, scope, receive, reply)
    assert len([chunk for chunk in sent if chunk]) == 21
    assert all(chunk.count(b"\n") == 1 for chunk in sent if chunk)


def test_every_frame_is_counted_once(serve: Callable[..., TestClient]) -> None:
    client = serve(Phantom())
    ask(client, LOOPS["png"], GOOD, b"text")
    counts = [
        line for line in client.get("/metrics").text.splitlines() if line.startswith("fetal_planes_predictions_t")
    ]
    assert sum(float(line.split()[-1]) for line in counts) == 7


def test_no_more_frames_are_decoded_than_are_read(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    seen, classify = [], Pipeline.classify_frame

    def counted(self: Pipeline, frame: PreparedFrame, **options: bool) -> Any:
        seen.append(frame.metadata.index)
        return classify(self, frame, **options)

    monkeypatch.setattr(Pipeline, "classify_frame", counted)
    assert len(ask(client, animation("PNG", STILLS * 10), query="?limit=5")) == 6
    assert sorted(seen) == [0, 1, 2, 3, 4]


def test_frames_over_the_limit_are_left_out_and_said_to_be(serve: Callable[..., TestClient]) -> None:
    client = serve(Phantom(), max_batch_frames=7)
    *lines, end = ask(client, LOOPS["png"], LOOPS["tiff"])
    assert len(lines) == 7
    assert end["summary"]["complete"] is False
    assert [cine["frames"] for cine in end["summary"]["cines"]] == [6, 1]
    assert ask(client, LOOPS["png"], GOOD)[-1]["summary"]["complete"] is True


def test_each_file_is_held_to_the_limit_of_one_upload(serve: Callable[..., TestClient]) -> None:
    client = serve(Phantom(), max_upload_bytes=len(GOOD) + 1024)
    *lines, _ = ask(client, GOOD, GOOD + bytes(1025), GOOD)
    assert [line.get("code") for line in lines] == [None, "upload-too-large", None]


def test_a_bug_breaks_the_reply_off_before_its_last_line(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    classify = Pipeline.classify_frame

    def fail(self: Pipeline, frame: PreparedFrame) -> Any:
        if frame.metadata.index == 4:
            raise ValueError("Doe^Jane")
        return classify(self, frame)

    monkeypatch.setattr(Pipeline, "classify_frame", fail)
    reply = client.post("/classify/batch", content=LOOPS["tiff"])
    assert "summary" not in reply.text
    assert "Doe" not in reply.text + caplog.text.split("Traceback")[0]


def test_no_file_s_name_is_logged(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", "fetal_planes")
    ask(client, ("Doe^Jane.png", GOOD), ("Doe^Jane.txt", b"text"))
    assert caplog.records
    assert "Doe" not in caplog.text


HEAD = b'\r\nContent-Disposition: form-data; name="%s"; filename="a"\r\n\r\n'


def part(name: bytes, content: bytes = GOOD) -> bytes:
    return b"--x" + HEAD % name + content + b"\r\n"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"no form", "malformed-request"),
        (part(b"file") + b"--x--\r\n", "malformed-request"),
        (part(b"files") + part(b"file") + b"--x--\r\n", "malformed-request"),
        (part(b"files")[:-9], "malformed-request"),
        (part(b"files") + b"--xy", "malformed-request"),
        (part(b"files") + part(b"files")[:20], "malformed-request"),
        (b"--x\r\n\r\n" + GOOD + b"\r\n--x--", "malformed-request"),
        (b"--x--\r\n", "empty-upload"),
        (b"", "empty-upload"),
        (part(b"files") * 5 + b"--x--\r\n", "upload-too-large"),
        (part(b"files", bytes(100_000)) + b"--x--\r\n", "upload-too-large"),
    ],
)
def test_a_form_that_is_not_of_files_is_refused_as_a_whole(
    serve: Callable[..., TestClient], body: bytes, code: str
) -> None:
    client = serve(Phantom(), max_batch_bytes=100_000, max_batch_frames=4)
    headers = {"content-type": "multipart/form-data; boundary=x"}
    reply = client.post("/classify/batch", content=body, headers=headers)
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.json()["code"] == code


@pytest.mark.parametrize("query", ["every=0", "limit=0", "every=two", "frame=1", "top=0"])
def test_a_wrong_parameter_is_refused(client: TestClient, query: str) -> None:
    assert client.post(f"/classify/batch?{query}", content=GOOD).json()["code"] == "bad-parameter"


def test_names_come_back_as_they_were_sent(client: TestClient) -> None:
    lines = ask(client, ("größe <b>.png", GOOD), ("x" * 999, GOOD))
    assert lines[0]["source"]["name"] == "größe <b>.png"
    assert lines[1]["source"]["name"] == "x" * 255


def test_nothing_is_written_to_disk(client: TestClient, disk: list[str]) -> None:
    large = encode(np.random.default_rng(0).integers(0, 256, (2000, 3000), np.uint8))
    ask(client, GOOD)  # whatever is imported on first use is imported now
    WATCHING.set()
    Path(os.devnull).write_bytes(b"")
    assert disk.pop() == os.devnull  # the watch works
    ask(client, large, LOOPS["tiff"])
    assert disk == []
