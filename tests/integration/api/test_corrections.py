"""`/corrections` over HTTP: what is kept, listed, erased and refused, and who learns what."""

import csv
import gc
import io
import json
import logging
import logging.config
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import cv2
import httpx2
import numpy as np
import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr

from fetal_planes_client import Client, CorrectedAnswer, NewCorrection, RefusedError
from fetal_planes_client.types.answers import ModelInfo
from service.api_keys import new_key
from service.app import create_app
from service.cli import main
from service.observability.logs import log_config
from service.sample.examples import EXAMPLES, encode_example
from service.schemas.corrections import MAX_CORRECTIONS
from service.settings import Settings
from tests.support.images import encode, speckle
from tests.support.phantom_package import Phantom
from tests.support.replies import assert_problem, runtime_of
from tests.support.server_thread import serving
from tests.support.store import (
    DATABASE_PASSWORD,
    MODEL,
    PATIENT,
    SECRET,
    STUDY,
    Postgres,
    correction,
    secret_file,
    sqlite_url,
)
from tests.support.waiting import eventually

BRAIN = encode_example(EXAMPLES["brain.png"])


@pytest.fixture
def store(serve: Callable[..., TestClient], tmp_path: Path) -> TestClient:
    """A client of a service with a store and a folder of frames."""
    return serve(
        Phantom(),
        store=sqlite_url(tmp_path),
        store_secret=secret_file(tmp_path),
        store_frames=tmp_path / "frames",
        store_frames_bytes=10**6,
    )


def keep(client: TestClient, *corrections: dict[str, Any], **headers: str) -> httpx2.Response:
    return client.post("/corrections", json={"corrections": list(corrections or [correction()])}, headers=headers)


def listed(client: TestClient, query: str = "") -> list[dict[str, Any]]:
    reply = client.get(f"/corrections?{query}")
    assert reply.status_code == 200, reply.text
    found: list[dict[str, Any]] = reply.json()["corrections"]
    return found


def test_the_precision_of_the_model_is_kept(store: TestClient) -> None:
    assert keep(store, correction(1) | {"model": MODEL | {"precision": "int8"}}).status_code == 201
    older = {name: value for name, value in MODEL.items() if name != "precision"}  # as clients of 0.5.0 send it
    assert keep(store, correction(2) | {"model": older}).status_code == 201
    assert [each["model"]["precision"] for each in listed(store)] == ["int8", "float32"]


def test_corrections_are_kept_listed_and_erased(store: TestClient) -> None:
    reply = keep(store, correction(1), correction(2, verdict="accepted", plane=None))
    assert reply.status_code == 201, reply.text
    assert reply.headers["cache-control"] == "no-store"
    ids = reply.json()["ids"]
    first, second = listed(store)
    assert [first["id"], second["id"]] == ids
    hashed = {"study", "patient"}
    sent = correction(1) | {"sub_plane": None}
    assert {name: first[name] for name in sent if name not in hashed} == {
        name: value for name, value in sent.items() if name not in hashed
    }
    assert (second["verdict"], second["plane"]) == ("accepted", "fetal_brain")
    assert (first["who"], first["has_frame"]) == (None, False)
    assert first["at"].endswith("Z")
    assert len(listed(store, f"study={first['study']}")) == len(listed(store, f"study={STUDY}")) == 2
    erased = store.delete("/corrections", params={"study": first["study"]})
    assert erased.json() == {"corrections": 2, "frames": 0, "request_id": erased.headers["x-request-id"]}
    assert listed(store) == []


def test_the_example_of_the_document_is_kept(store: TestClient) -> None:
    operation = store.get("/openapi.json").json()["paths"]["/corrections"]["post"]
    example = operation["requestBody"]["content"]["application/json"]["example"]
    assert store.post("/corrections", json=example).status_code == 201
    page = Path(__file__).parents[3] / "docs" / "how-to" / "corrections.md"
    shown = page.read_text().partition("```json\n")[2].partition("```")[0]
    digest = "0" * 64
    assert store.post("/corrections", json=json.loads(shown.replace("…", digest))).status_code == 201


def test_pages(store: TestClient) -> None:
    keep(store, *(correction(number % 3) for number in range(5)))
    first = store.get("/corrections?limit=3").json()
    second = store.get(f"/corrections?limit=3&after={first['next']}").json()
    assert [len(page["corrections"]) for page in (first, second)] == [3, 2]
    assert second["next"] is None
    assert [each["digest"] for each in listed(store, "latest=true")] == [
        correction(number)["digest"] for number in (2, 0, 1)
    ]
    table = store.get("/corrections", headers={"Accept": "text/csv"})
    assert table.headers["content-type"].startswith("text/csv")
    assert table.text == store.get("/corrections?format=csv", headers={"Accept": "application/json"}).text
    rows = list(csv.DictReader(io.StringIO(table.text)))
    assert [int(row["id"]) for row in rows] == [each["id"] for each in listed(store)]
    assert {row["answer_probability"] for row in rows} == {"0.9"}


def test_a_spreadsheet_evaluates_no_cell(store: TestClient) -> None:
    formulas = ["=1+1", "+1", "-1", "@A1", " =1", '"=1', "'=1"]
    model = MODEL | {"name": "=cmd()", "version": "-2"}
    keep(store, *(correction(machine=each, protocol=each, model=model) for each in formulas))
    assert [each["machine"] for each in listed(store)] == formulas
    for row in csv.DictReader(io.StringIO(store.get("/corrections?format=csv").text)):
        assert {row[name][0] for name in ("machine", "protocol", "model", "model_version")} == {"'"}


def test_without_a_store_nothing_is_kept(client: TestClient) -> None:
    for reply in (
        keep(client),
        client.get("/corrections"),
        client.delete("/corrections?study=1"),
        client.post("/corrections/1/frame", content=BRAIN),
    ):
        assert_problem(reply, "no-store")
        assert "FETAL_PLANES_STORE" in reply.json()["detail"]
    health = client.get("/health").json()
    assert (health["corrections"], health["correction_frames"]) == (False, False)


def test_health_says_that_corrections_are_kept(store: TestClient) -> None:
    health = store.get("/health").json()
    assert (health["corrections"], health["correction_frames"]) == (True, True)


@pytest.mark.parametrize(
    "changes",
    [
        {"digest": "f" * 63},
        {"digest": "F" * 64},
        {"frame": -1},
        {"frame": 2**31},
        {"frame": 0.5},
        {"frame": "0"},
        {"frame": True},
        {"verdict": "wrong"},
        {"plane": None},
        {"plane": "Fetal Brain"},
        {"plane": "a" * 129},
        {"verdict": "rejected"},
        {"verdict": "accepted"},
        {"machine": "a\0b"},
        {"machine": "a\nb"},
        {"machine": "a\u2028b"},
        {"machine": ""},
        {"machine": "a" * 129},
        {"study": "1.2\0.3"},
        {"patient": "a" * 129},
        {"model": MODEL | {"name": "a\0"}},
        {"model": MODEL | {"sha256": "0"}},
        {"answer": {"plane": "fetal_brain", "probability": 1.1}},
        {"answer": {"plane": "fetal_brain", "abstain_reason": "tired"}},
        {"answer": {}},
        {"Zanzibar^Quokka": 1},
    ],
    ids=str,
)
def test_a_wrong_correction_refuses_all_of_the_request(store: TestClient, changes: dict[str, Any]) -> None:
    reply = keep(store, correction(1), correction(2, **changes))
    assert_problem(reply, "invalid-correction")
    assert "corrections.1" in reply.json()["detail"]
    assert "Quokka" not in reply.text
    assert listed(store) == []


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "malformed-request"),
        (b"{", "malformed-request"),
        (b'{"corrections": [\xff]}', "malformed-request"),
        (b'{"corrections": "\\ud800"}', "malformed-request"),
        (b"[" * 100_000, "malformed-request"),
        (b"[]", "invalid-correction"),
        (b'{"corrections": []}', "invalid-correction"),
        (b'{"corrections": [1]}', "invalid-correction"),
        (b'{"corrections": [NaN]}', "invalid-correction"),
        (b" " * (4 * 2**20 + 1), "upload-too-large"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_body_that_is_none_is_refused(store: TestClient, body: bytes, code: str) -> None:
    reply = store.post("/corrections", content=body, headers={"Content-Type": "application/json"})
    assert_problem(reply, code)


def test_too_many_corrections_are_refused_and_the_largest_request_is_kept(store: TestClient) -> None:
    longest = correction(machine="\U0001f930" * 128, protocol="\U0001f930" * 128, study="\U0001f930" * 128)
    assert keep(store, *[longest] * MAX_CORRECTIONS).status_code == 201
    assert_problem(keep(store, *[correction()] * (MAX_CORRECTIONS + 1)), "invalid-correction")
    assert len(listed(store, "limit=1000")) == MAX_CORRECTIONS


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", None])
def test_a_page_of_another_origin_cannot_send_corrections(store: TestClient, kind: str | None) -> None:
    """These types need no preflight request (Fetch standard), so a browser would send them for any page."""
    body = json.dumps({"corrections": [correction()]}).encode()
    headers = {} if kind is None else {"Content-Type": kind}
    assert_problem(store.post("/corrections", content=body, headers=headers), "not-json")
    assert listed(store) == []
    sent = store.post("/corrections", content=body, headers={"Content-Type": "Application/JSON; charset=utf-8"})
    assert sent.status_code == 201


@pytest.mark.parametrize(
    "query",
    ["", "study=", "study=a%00", "other=1", f"study={'a' * 129}"],
)
def test_an_erasure_must_say_of_whom(store: TestClient, query: str) -> None:
    keep(store)
    assert_problem(store.delete(f"/corrections?{query}"), "bad-parameter")
    assert len(listed(store)) == 1


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "after=-1", "after=9223372036854775808", "format=xml"])
def test_a_wrong_page_is_refused(store: TestClient, query: str) -> None:
    assert_problem(store.get(f"/corrections?{query}"), "bad-parameter")
    assert store.get("/corrections?after=9223372036854775807").json()["corrections"] == []


def test_methods_of_the_paths(store: TestClient) -> None:
    assert store.options("/corrections").headers["allow"] == "GET, POST, DELETE, HEAD, OPTIONS"
    assert_problem(store.put("/corrections"), "method-not-allowed")
    assert store.head("/corrections").status_code == 200


def test_the_key_says_who(serve: Callable[..., TestClient], tmp_path: Path) -> None:
    key, line = new_key("ward-3")
    (tmp_path / "keys").write_text(line)
    client = serve(
        Phantom(), store=sqlite_url(tmp_path), store_secret=secret_file(tmp_path), api_keys=tmp_path / "keys"
    )
    for reply in (keep(client), client.get("/corrections"), client.delete("/corrections?study=1")):
        assert_problem(reply, "no-key")
    assert keep(client, **{"X-API-Key": key}).status_code == 201
    (kept,) = client.get("/corrections", headers={"X-API-Key": key}).json()["corrections"]
    assert kept["who"] == "ward-3"


def test_metrics_count_by_verdict(store: TestClient) -> None:
    keep(store, correction(1), correction(2, verdict="rejected", plane=None), correction(3))
    keep(store, correction(4, plane=None))  # refused
    text = store.get("/metrics").text
    assert 'fetal_planes_corrections_total{verdict="supplemented"} 2.0' in text
    assert 'fetal_planes_corrections_total{verdict="rejected"} 1.0' in text
    assert 'fetal_planes_corrections_total{verdict="accepted"} 0.0' in text


def test_the_sector_of_a_corrected_frame_is_kept(store: TestClient, tmp_path: Path) -> None:
    ids = keep(store, correction(digest=sha256(BRAIN).hexdigest()), correction(2)).json()["ids"]
    reply = store.post(f"/corrections/{ids[0]}/frame", content=BRAIN)
    assert reply.status_code == 201, reply.text
    (path,) = (tmp_path / "frames").glob("*.png")
    assert reply.json()["bytes"] == path.stat().st_size
    kept = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    frame = cv2.imdecode(np.frombuffer(BRAIN, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert frame is not None
    assert kept is not None
    assert kept.size < frame.size
    assert (kept[:6, :6] == 0).all()  # outside the sector
    assert np.count_nonzero(kept) > 0.2 * kept.size
    assert [each["has_frame"] for each in listed(store)] == [True, False]
    assert_problem(store.post(f"/corrections/{ids[1]}/frame", content=BRAIN), "other-file")
    assert_problem(store.post("/corrections/999/frame", content=BRAIN), "not-found")
    assert_problem(store.post("/corrections/none/frame", content=BRAIN), "bad-parameter")
    assert store.delete("/corrections", params={"patient": PATIENT}).json()["frames"] == 1
    assert list((tmp_path / "frames").glob("*.png")) == []


def test_a_frame_without_a_sector_is_not_kept(store: TestClient, tmp_path: Path) -> None:
    filled = encode(speckle(200, 200))
    (number,) = keep(store, correction(digest=sha256(filled).hexdigest())).json()["ids"]
    assert_problem(store.post(f"/corrections/{number}/frame", content=filled), "no-sector")
    broken = filled[:-20]
    (number,) = keep(store, correction(digest=sha256(broken).hexdigest())).json()["ids"]
    assert store.post(f"/corrections/{number}/frame", content=broken).status_code == 422
    (number,) = keep(store, correction(digest=sha256(BRAIN).hexdigest(), frame=3)).json()["ids"]
    assert_problem(store.post(f"/corrections/{number}/frame", content=BRAIN), "no-such-frame")
    assert list((tmp_path / "frames").glob("*.png")) == []


def test_a_full_folder_is_a_refusal(serve: Callable[..., TestClient], tmp_path: Path) -> None:
    client = serve(
        Phantom(),
        store=sqlite_url(tmp_path),
        store_secret=secret_file(tmp_path),
        store_frames=tmp_path / "frames",
        store_frames_bytes=1024,
    )
    (number,) = keep(client, correction(digest=sha256(BRAIN).hexdigest())).json()["ids"]
    assert_problem(client.post(f"/corrections/{number}/frame", content=BRAIN), "store-full")


def test_a_database_that_is_down_stops_nothing_else(
    serve: Callable[..., TestClient], tmp_path: Path, postgres: Postgres
) -> None:
    postgres.stop("fast")
    try:
        client = serve(Phantom(), store=postgres.url, store_secret=secret_file(tmp_path))
        assert client.get("/health/ready").status_code == 200
        assert client.post("/classify", content=encode(speckle())).status_code == 200
        for reply in (keep(client), client.get("/corrections"), client.delete("/corrections?study=1")):
            assert_problem(reply, "store-unavailable")
            assert reply.headers["retry-after"].isdecimal()
        assert client.get("/health/ready").status_code == 200
    finally:
        postgres.start()
    eventually(lambda: keep(client).status_code == 201)
    assert len(listed(client)) >= 1


@contextmanager
def loud() -> Iterator[None]:
    """Log everything that the service logs at the level `debug`, to standard error."""
    root, sender = logging.getLogger(), logging.getLogger("httpx2")  # the test's own client
    handlers, level = root.handlers[:], root.level
    logging.config.dictConfig(log_config("debug"))
    sender.disabled = True
    yield
    sender.disabled = False
    root.handlers[:], root.level = handlers, level


def test_no_identifier_and_no_secret_is_in_logs_replies_and_metrics(
    store_url: str, serve: Callable[..., TestClient], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    client = serve(Phantom(), store=store_url, store_secret=secret_file(tmp_path))
    with loud():
        replies = [
            keep(client),
            keep(client, correction(patient=f"{PATIENT}\0")),
            keep(client, correction(machine=PATIENT * 20)),
            client.get("/corrections", params={"study": STUDY}),
            client.get("/corrections", params={"patient": PATIENT, "format": "csv"}),
            client.delete("/corrections", params={"patient": PATIENT, "other": STUDY}),
            client.delete("/corrections", params={"patient": PATIENT}),
            client.get("/metrics"),
        ]
        logged = "".join(capfd.readouterr())
    assert [reply.status_code for reply in replies] == [201, 422, 422, 200, 200, 400, 200, 200]
    assert '"route": "/corrections"' in logged
    for planted in (PATIENT, STUDY, SECRET, DATABASE_PASSWORD, "fetal_femur"):
        assert planted not in logged
    for planted in (PATIENT, STUDY, SECRET, DATABASE_PASSWORD):
        assert not [reply for reply in replies if planted in f"{reply.headers}{reply.text}"]


def test_replicas_share_a_store(serve: Callable[..., TestClient], store_url: str, tmp_path: Path) -> None:
    options = {"store": store_url, "store_secret": secret_file(tmp_path)}
    first, second = serve(Phantom(), **options), serve(Phantom(), **options)
    keep(first, correction(1))
    keep(second, correction(2))
    assert [each["digest"] for each in listed(first)] == [correction(1)["digest"], correction(2)["digest"]]
    assert second.delete("/corrections", params={"study": STUDY}).json()["corrections"] == 2
    assert listed(first) == []


def test_the_python_client(store: TestClient) -> None:
    new = NewCorrection(
        digest=sha256(BRAIN).hexdigest(),
        model=ModelInfo(**MODEL),
        answer=CorrectedAnswer(plane="fetal_femur", probability=0.6),
        verdict="supplemented",
        plane="fetal_brain",
        study=STUDY,
    )
    with Client("http://testserver", transport=store._transport) as client:
        (number,) = client.correct([new]).ids
        assert client.keep_frame(number, BRAIN).bytes > 100
        (kept,) = client.corrections(study=STUDY, latest=True).corrections
        assert (kept.id, kept.plane, kept.has_frame) == (number, "fetal_brain", True)
        assert kept.at.tzinfo is not None
        assert client.erase_corrections(study=STUDY).frames == 1
        with pytest.raises(RefusedError) as refused:
            client.correct([])
    assert refused.value.problem is not None
    assert refused.value.problem.code == "invalid-correction"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"STORE": "mysql://user:pass-word@host/db"}, "begins with mysql"),
        ({"STORE": "sqlite:////nowhere/at/all.db"}, "cannot be written"),
        ({"STORE": "sqlite:///{folder}/a.db", "STORE_SECRET": "{folder}/missing"}, "STORE_SECRET is refused"),
        ({"STORE": "sqlite:///{folder}/a.db", "STORE_SECRET": ""}, "needs FETAL_PLANES_STORE_SECRET"),
        ({"STORE_FRAMES": "{folder}"}, "needs FETAL_PLANES_STORE"),
        ({"STORE": "sqlite:///{folder}/a.db", "STORE_RETENTION_DAYS": "0"}, "FETAL_PLANES_STORE_RETENTION_DAYS"),
    ],
)
def test_a_wrong_store_ends_the_start(
    settings: dict[str, str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setenv("FETAL_PLANES_STORE_SECRET", str(secret_file(tmp_path)))
    for name, value in settings.items():
        monkeypatch.setenv(f"FETAL_PLANES_{name}", value.format(folder=tmp_path))
    assert main(["serve"]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "pass-word" not in error


def test_settings_do_not_show_the_password(tmp_path: Path) -> None:
    settings = Settings(store=SecretStr(f"postgresql://user:{DATABASE_PASSWORD}@host/db"))
    assert DATABASE_PASSWORD not in repr(settings) + str(settings.model_dump())
    assert create_app(Settings()).state.runtime.store is None


def test_the_runtime_closes_its_store(store: TestClient) -> None:
    kept = runtime_of(store).store
    assert kept is not None
    keep(store)
    store.__exit__()
    with pytest.raises(RuntimeError):
        kept._threads._executor.submit(print)
    store.__enter__()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # pg8000 leaves its socket to the GC
def test_a_database_that_hangs_holds_up_nothing_else(
    phantom_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.store.address.TIMEOUT_S", 600)
    with socket.create_server(("127.0.0.1", 0)) as silent, ThreadPoolExecutor() as threads:
        url = f"postgresql://user:word@127.0.0.1:{silent.getsockname()[1]}/db?sslmode=disable"
        store = {"store": SecretStr(url), "store_secret": secret_file(tmp_path)}
        with serving(phantom_folder, **store) as address, httpx2.Client(base_url=address, timeout=120) as client:
            listing = [threads.submit(client.get, "/corrections") for _ in range(8)]
            for path in ("/health/ready", "/health", "/metrics"):
                assert client.get(path).status_code == 200
            assert client.post("/classify", content=encode(speckle())).status_code == 200
            assert not any(each.done() for each in listing)  # the others were answered meanwhile
            silent.close()  # ends the connections
            for each in listing:
                assert_problem(each.result(), "store-unavailable")
    gc.collect()
