"""Health, model, metrics, docs, request ids and log lines."""

import json
import logging
import re
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from service import __version__
from service.app import create_app
from service.inference.package import PackageError
from service.observability.logs import JsonFormatter
from service.schemas.answers import Classification, ExplainedClassification
from service.schemas.batch import Batch, BatchEnd, FrameAnswer
from service.schemas.exam import ExamReport
from service.settings import Settings
from tests.support.images import encode, speckle
from tests.support.phantom_package import Phantom


def test_probes(client: TestClient) -> None:
    assert client.get("/health/live").json() == {"status": "alive"}
    assert client.get("/health/ready").json() == {"status": "ready"}
    health = client.get("/health").json()
    assert health["status"] == "ready"
    assert health["service_version"] == __version__
    assert health["model"]["name"] == "phantom"
    assert health["workers"]["count"] >= 1
    assert health["uptime_seconds"] >= 0


def test_model_is_the_manifest(client: TestClient, phantom_folder: Path) -> None:
    manifest = json.loads((phantom_folder / "model.json").read_text())
    assert client.get("/model").json() == manifest | {"precision": "float32"}


def test_a_package_that_differs_is_not_served(phantom: Phantom, tmp_path: Path) -> None:
    folder = phantom.write(tmp_path)
    (folder / "MODEL_CARD.md").write_text("# Another\n")
    with pytest.raises(PackageError, match="differs"), TestClient(create_app(Settings(model=folder))):
        pass


def test_a_log_line_tells_the_request_and_nothing_of_the_upload(
    client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        client.post(
            "/classify?frame=0&name=Doe",
            files={"file": ("Doe^Jane.png", b"Doe^Jane")},
            headers={"x-request-id": "id-1"},
        )
        client.post("/classify", files={"file": ("Doe^Jane.png", b"Doe^Jane")}, headers={"x-request-id": "id-2"})
        client.get("/health/live")
    lines = [json.loads(JsonFormatter().format(record)) for record in caplog.records]
    ours = [line for line in lines if line["logger"] == "fetal_planes.requests"]
    assert [(line["request_id"], line["route"], line["status"]) for line in ours[:2]] == [
        ("id-1", "/classify", 400),
        ("id-2", "/classify", 415),
    ]
    assert ours[0]["milliseconds"] >= 0
    assert [line["level"] for line in ours] == ["info", "info", "debug"]
    assert not any("Doe" in json.dumps(line) for line in ours)


def test_docs_need_nothing_from_elsewhere(client: TestClient) -> None:
    reply = client.get("/docs")
    assert reply.headers["content-type"].startswith("text/html")
    policy = dict(part.strip().split(" ", 1) for part in reply.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    paths = re.findall(r'(?:src|href)="([^"]+)"', reply.text)
    assert {path.split("/")[0] for path in paths} == {"docs", "page"}  # relative: a proxy may add a prefix
    for path in paths:
        assert client.get(path).status_code == 200
        assert client.get(path).headers["content-security-policy"]
    assert client.get("/docs/redoc.standalone.js").json()["code"] == "not-found"


def openapi(client: TestClient) -> dict[str, Any]:
    document: dict[str, Any] = client.get("/openapi.json").json()
    return document


def test_openapi_documents_uploads_and_problems(client: TestClient) -> None:
    for path in ("/classify", "/explain"):
        operation = openapi(client)["paths"][path]["post"]
        assert set(operation["requestBody"]["content"]) == {"multipart/form-data", "application/octet-stream"}
        for status in ("400", "413", "415", "422", "503", "default"):
            assert list(operation["responses"][status]["content"]) == ["application/problem+json"]
    explain = openapi(client)["paths"]["/explain"]["post"]["responses"]["200"]["content"]
    assert set(explain) == {"application/json", "image/jpeg", "image/png", "multipart/related"}
    classify = openapi(client)["paths"]["/classify"]["post"]["responses"]["200"]["content"]
    assert set(classify) == {"application/json", "application/dicom"}


def test_openapi_names_operations_tags_servers_and_security(client: TestClient) -> None:
    document = openapi(client)
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    ids = [operation["operationId"] for operation in operations]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch("[a-z_]+", each) for each in ids)
    assert {"classify", "classify_batch", "explain", "exam"} < set(ids)
    assert {tag for operation in operations for tag in operation["tags"]} == {tag["name"] for tag in document["tags"]}
    assert document["servers"][0]["url"] == "/"
    assert {name for each in document["security"] for name in each} == set(document["components"]["securitySchemes"])


def test_every_answer_to_an_upload_has_an_example_that_is_one(client: TestClient) -> None:
    models = {each.__name__: each for each in (Classification, ExplainedClassification, Batch, ExamReport)}
    contents = [
        operation["responses"]["200"]["content"]
        for path in openapi(client)["paths"].values()
        for operation in path.values()
        if "requestBody" in operation and "200" in operation["responses"]
    ]
    answers = [content["application/json"] for content in contents if "application/json" in content]
    assert len(answers) == len(models)
    for answer in answers:
        model = models[answer["schema"]["$ref"].rpartition("/")[2]]
        assert model.model_validate(answer["example"]).model_dump(mode="json") == answer["example"]
    (lines,) = (content["application/x-ndjson"]["example"] for content in contents if "application/x-ndjson" in content)
    first, last = map(json.loads, lines.splitlines())
    assert FrameAnswer.model_validate(first).source.name == "brain.png"
    assert BatchEnd.model_validate(last).summary.files == 1


def test_every_setting_says_what_it_does() -> None:
    assert all(field.description for field in Settings.model_fields.values())


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FETAL_PLANES_MODEL", str(tmp_path))
    monkeypatch.setenv("FETAL_PLANES_WORKERS", "5")
    monkeypatch.setenv("FETAL_PLANES_MAX_UPLOAD_BYTES", "4096")
    settings = Settings()
    assert (settings.model, settings.workers, settings.limits.max_bytes) == (tmp_path, 5, 4096)


@pytest.mark.parametrize("offered", ["abc-123", "A.b_c", "x" * 64])
def test_a_sane_request_id_is_taken_over(client: TestClient, offered: str) -> None:
    reply = client.post("/classify", content=encode(speckle()), headers={"X-Request-ID": offered})
    assert reply.headers["x-request-id"] == reply.json()["request_id"] == offered


@pytest.mark.parametrize("offered", ["", "a b", "x" * 65, "a\tb", '"', "ä"])
def test_any_other_is_replaced(client: TestClient, offered: str) -> None:
    reply = client.get("/health/live", headers=[(b"X-Request-ID", offered.encode())])
    assert re.fullmatch("[0-9a-f]{32}", reply.headers["x-request-id"])
