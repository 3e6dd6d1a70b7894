"""Every row of the table of problems, provoked; and the same shape on every path."""

import logging
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from service.analysis.pipeline import Pipeline
from service.app import create_app
from service.errors import TABLE
from service.observability.logs import JsonFormatter
from service.settings import Settings
from tests.support.images import dicom, encode, png_bomb, speckle
from tests.support.phantom_package import Phantom
from tests.support.replies import assert_problem

GOOD = encode(speckle())
FORM = {"content-type": "multipart/form-data; boundary=x"}
LONG = FORM["content-type"] + "x" * 999
PART = b'--x\r\nContent-Disposition: form-data; name="%s"; filename="a"\r\n\r\n%s\r\n'


def form(*names: bytes) -> bytes:
    return b"".join(PART % (name, GOOD) for name in names) + b"--x--\r\n"


# What is sent, and the code of the problem that must come back.
PROVOKED: list[tuple[str, str, str, dict[str, Any]]] = [
    ("malformed-request", "POST", "/classify", {"content": b"no multipart", "headers": FORM}),
    ("malformed-request", "POST", "/classify", {"content": form(b"file")[:-10], "headers": FORM}),
    ("malformed-request", "POST", "/classify", {"content": GOOD, "headers": {"content-type": "multipart/form-data"}}),
    ("malformed-request", "POST", "/classify", {"content": form(b"frame"), "headers": FORM}),
    ("malformed-request", "POST", "/classify", {"content": form(b"file", b"file"), "headers": FORM}),
    ("malformed-request", "POST", "/classify", {"content": form(b"file", b"more"), "headers": FORM}),
    ("malformed-request", "POST", "/classify", {"content": b"--x--\r\n", "headers": FORM}),
    ("malformed-request", "POST", "/classify", {"content": b"", "headers": FORM}),
    ("malformed-request", "POST", "/explain", {"content": b"--x\r\nno: name\r\n\r\na\r\n--x--\r\n", "headers": FORM}),
    ("malformed-request", "POST", "/explain", {"content": b"--x\r\n" + b"a" * 9999, "headers": FORM}),
    ("malformed-request", "POST", "/explain", {"content": b"a", "headers": {"content-type": LONG}}),
    ("empty-upload", "POST", "/classify", {}),
    ("empty-upload", "POST", "/classify", {"files": {"file": b""}}),
    ("bad-parameter", "POST", "/classify?color=red", {"content": GOOD}),
    ("bad-parameter", "POST", "/classify?target=other", {"content": GOOD}),
    ("bad-parameter", "POST", "/classify?frame=-1", {"content": GOOD}),
    ("bad-parameter", "POST", "/classify?frame=one", {"content": GOOD}),
    ("bad-parameter", "POST", "/explain?overlay=perhaps", {"content": GOOD}),
    ("bad-parameter", "POST", f"/explain?frame={'9' * 5000}", {"content": GOOD}),
    ("not-found", "GET", "/nowhere", {}),
    ("not-found", "GET", "/problems/nowhere", {}),
    ("not-found", "POST", "/classify/", {"content": GOOD}),
    ("method-not-allowed", "GET", "/classify", {}),
    ("method-not-allowed", "PUT", "/explain", {}),
    ("method-not-allowed", "POST", "/health/ready", {}),
    ("upload-too-large", "POST", "/classify", {"content": bytes(200_001)}),
    ("upload-too-large", "POST", "/explain", {"files": {"file": bytes(200_001)}}),
    ("upload-too-large", "POST", "/explain", {"files": {"file": bytes(400_000)}}),
    ("frame-too-large", "POST", "/classify", {"content": png_bomb()}),
    ("unsupported-format", "POST", "/classify", {"content": b"<svg xmlns='http://www.w3.org/2000/svg'/>"}),
    ("unsupported-format", "POST", "/classify", {"content": b"PK\x03\x04" + bytes(40)}),
    ("unsupported-format", "POST", "/classify", {"files": {"file": ("frame.png", b"text", "image/png")}}),
    ("unsupported-format", "POST", "/explain", {"content": dicom()}),
    ("unsupported-encoding", "POST", "/classify", {"content": GOOD, "headers": {"content-encoding": "br"}}),
    ("unreadable-frame", "POST", "/classify", {"content": GOOD[: len(GOOD) // 2]}),
    ("unreadable-frame", "POST", "/explain", {"content": encode(speckle(), "JPEG")[:300]}),
    ("unreadable-frame", "POST", "/classify", {"content": png_bomb(0, 0)}),
    ("no-such-frame", "POST", "/classify?frame=1", {"content": GOOD}),
    ("no-such-frame", "POST", f"/explain?frame={10**30}", {"content": GOOD}),
    ("no-such-plane", "POST", "/explain?target=fetal_elbow", {"content": GOOD}),
    ("no-such-plane", "POST", "/explain?target=", {"content": GOOD}),
    ("no-store", "GET", "/corrections", {}),
    ("no-such-protocol", "POST", "/exam?protocol=elbow", {"files": {"files": GOOD}}),
    ("no-dicom-source", "POST", "/classify", {"content": GOOD, "headers": {"accept": "application/dicom"}}),
    ("no-dicom-source", "POST", "/explain", {"content": GOOD, "headers": {"accept": "multipart/related"}}),
]  # fmt: skip
ELSEWHERE = {
    *("internal-error", "not-ready"),  # tests of their own below
    *("overloaded", "deadline-passed", "upload-too-slow"),  # in test_gate.py
    "no-key",  # in test_keys.py
    "decode-limit",  # in test_hostile_uploads.py
    # in test_corrections.py
    *("invalid-correction", "no-sector", "not-json", "other-file", "store-full", "store-unavailable"),
}


@pytest.fixture(scope="module")
def strict(phantom_folder: Any) -> Any:
    with TestClient(create_app(Settings(model=phantom_folder, max_upload_bytes=200_000))) as client:
        yield client


@pytest.mark.parametrize(("code", "method", "path", "options"), PROVOKED, ids=lambda value: str(value)[:40])
def test_provoked(strict: TestClient, code: str, method: str, path: str, options: dict[str, Any]) -> None:
    assert_problem(strict.request(method, path, **options), code)


def test_every_row_of_the_table_is_provoked() -> None:
    assert {row[0] for row in PROVOKED} | ELSEWHERE == set(TABLE)


def test_405_names_what_is_allowed(client: TestClient) -> None:
    assert client.get("/classify").headers["allow"] == "POST, OPTIONS"


def test_every_type_is_described_where_it_points(client: TestClient) -> None:
    for row in client.get("/problems").json():
        assert client.get(row["type"]).json() == row
        assert row["meaning"]


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/health/ready"), ("GET", "/health"), ("GET", "/model"), ("POST", "/classify")]
)
def test_not_ready_before_the_start(phantom_folder: Any, method: str, path: str) -> None:
    client = TestClient(create_app(Settings(model=phantom_folder)))  # not entered: the app has not started
    reply = client.request(method, path, content=GOOD)
    assert_problem(reply, "not-ready")
    assert int(reply.headers["retry-after"]) > 0
    assert client.get("/health/live").status_code == 200


def test_not_ready_after_the_stop(phantom_folder: Any) -> None:
    with TestClient(create_app(Settings(model=phantom_folder))) as client:
        assert client.get("/health/ready").status_code == 200
    assert_problem(client.get("/health/ready"), "not-ready")


def test_a_bug_is_a_500_that_tells_nothing(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ValueError("Doe^Jane at /secret/path")

    monkeypatch.setattr(Pipeline, "classify", fail)
    with caplog.at_level(logging.INFO):
        reply = client.post("/classify", content=GOOD, headers={"x-request-id": "find-me"})
    assert_problem(reply, "internal-error")
    assert "Doe" not in reply.text
    assert "secret" not in reply.text
    lines = [JsonFormatter().format(record) for record in caplog.records]
    (bug,) = [line for line in lines if "ValueError" in line]
    assert "find-me" in bug
    assert "test_problems.py" in bug  # where it happened, and yet
    assert not any("Doe" in line for line in lines)


def test_the_limit_in_bytes_holds_for_the_file_not_the_form(serve: Callable[..., TestClient]) -> None:
    client = serve(Phantom(), max_upload_bytes=len(GOOD))
    assert client.post("/classify", content=GOOD).status_code == 200
    assert client.post("/classify", files={"file": GOOD}).status_code == 200
    assert_problem(client.post("/classify", files={"file": GOOD + b"\0"}), "upload-too-large")
