"""HEAD, OPTIONS, other origins, keys next to a gateway's, compressed uploads, and a path that a proxy adds."""

import gzip
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient
from pydantic import ValidationError

from service.api_keys import new_key
from service.settings import Settings
from tests.support.images import encode, speckle
from tests.support.phantom_package import Phantom
from tests.support.replies import assert_problem, runtime_of
from tests.support.waiting import eventually

GOOD = encode(speckle())
VIEWER = "https://viewer.example"
EVER_NEW = {"x-request-id", "content-length"}  # of a health report with its uptime
PATHS = [
    *(
        "/",
        "/page/main.js",
        "/docs",
        "/docs/start.js",
        "/openapi.json",
        "/protocols",
        "/problems",
        "/problems/not-found",
    ),
    *("/health", "/health/live", "/health/ready", "/metrics", "/model", "/nowhere", "/problems/none", "/classify"),
]


@pytest.mark.parametrize("path", PATHS)
def test_head_is_get_without_the_body(client: TestClient, path: str) -> None:
    head, get = client.head(path), client.get(path)
    assert head.content == b""
    assert head.status_code == get.status_code
    kept = [{name: value for name, value in reply.headers.items() if name not in EVER_NEW} for reply in (head, get)]
    assert kept[0] == kept[1]
    assert head.headers["content-length"] != "0"


@pytest.mark.parametrize("path", [path for path in PATHS if "no" not in path])
def test_options_lists_the_methods_as_a_refusal_does(client: TestClient, path: str) -> None:
    reply = client.options(path)
    expected = "POST, OPTIONS" if path == "/classify" else "GET, HEAD, OPTIONS"
    assert (reply.status_code, reply.headers["allow"], reply.content) == (204, expected, b"")
    refused = client.put(path)
    assert_problem(refused, "method-not-allowed")
    assert refused.headers["allow"] == expected


def test_options_of_a_path_that_does_not_exist(client: TestClient) -> None:
    assert_problem(client.options("/nowhere"), "not-found")


def test_the_log_has_the_route_of_a_head(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        client.head("/problems/not-found")
    (line,) = [vars(record) for record in caplog.records if record.name == "fetal_planes.requests"]
    assert (line["method"], line["route"], line["status"]) == ("HEAD", "/problems/{code}", 200)


def preflight(client: TestClient, origin: str) -> dict[str, str]:
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-api-key, content-type"}
    reply = client.options("/classify", headers={"Origin": origin, **asked})
    assert reply.is_success
    return {name: value for name, value in reply.headers.items() if name.startswith("access-control-")}


def test_other_origins_are_allowed_by_the_setting_alone(
    client: TestClient, serve: Callable[..., TestClient], tmp_path: Path
) -> None:
    (tmp_path / "keys").write_text(new_key("viewer")[1])
    chosen = serve(Phantom(), cors_origins=f"https://other.example , {VIEWER}/", api_keys=tmp_path / "keys")
    allowed = preflight(chosen, VIEWER)  # without a key: browsers send none
    assert allowed["access-control-allow-origin"] == VIEWER
    assert "POST" in allowed["access-control-allow-methods"]
    assert "x-api-key" in allowed["access-control-allow-headers"]
    assert "access-control-allow-credentials" not in allowed
    refused = chosen.post("/classify", content=GOOD, headers={"Origin": VIEWER})
    assert_problem(refused, "no-key")
    assert refused.headers["access-control-allow-origin"] == VIEWER  # so that the page can read the problem
    assert "Origin" in refused.headers["vary"]
    for origin in ("https://viewer.example.evil.example", "http://viewer.example", "null", ""):
        assert preflight(chosen, origin) == {}
    assert preflight(client, VIEWER) == {}
    assert preflight(serve(Phantom(), cors_origins="*"), VIEWER)["access-control-allow-origin"] == VIEWER


@pytest.mark.parametrize(
    "value", ["viewer.example", "https://viewer.example/page", "https://a.example;https://b.example"]
)
def test_what_is_not_an_origin_is_refused_at_the_start(value: str) -> None:
    with pytest.raises(ValidationError):
        Settings(cors_origins=value)


def test_a_right_key_opens_next_to_the_token_of_a_gateway(serve: Callable[..., TestClient], tmp_path: Path) -> None:
    key, line = new_key("ward")
    (tmp_path / "keys").write_text(line)
    client = serve(Phantom(), api_keys=tmp_path / "keys")

    def status(*headers: tuple[str, str]) -> int:
        return client.get("/model", headers=list(headers)).status_code

    theirs = ("Authorization", "Bearer of-another")
    for other in (theirs, ("Authorization", "Basic d2FyZC0zOng="), ("Authorization", "Negotiate abc"), theirs):
        assert status(("X-API-Key", key), other) == status(other, ("X-API-Key", key)) == 200
        assert status(("X-API-Key", "wrong"), other) == status(other) == 401
    assert status(theirs, ("Authorization", f"Bearer {key}")) == 200
    assert status(("X-API-Key", "wrong"), ("Authorization", f"Bearer {key}")) == 200
    assert status(*[("X-API-Key", "wrong")] * 50, ("X-API-Key", key)) == 401  # each costs a comparison


@pytest.mark.parametrize(("coding", "compress"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_compressed_uploads_are_answered_as_plain_ones(
    client: TestClient, coding: str, compress: Callable[[bytes], bytes]
) -> None:
    headers = {"Content-Encoding": coding}
    plain = client.post("/classify", content=GOOD).json()
    reply = client.post("/classify", content=compress(GOOD), headers=headers)
    assert reply.json()["predictions"] == plain["predictions"]
    form = client.build_request("POST", "/classify/batch", files=[("files", ("a.png", GOOD))] * 3)
    typed = headers | {"Content-Type": form.headers["content-type"]}
    lines = client.post("/classify/batch", content=compress(form.read()), headers=typed).text.splitlines()
    assert len(lines) == 4


def test_compressed_uploads_have_the_limits_of_plain_ones(serve: Callable[..., TestClient]) -> None:
    client = serve(Phantom(), max_upload_bytes=2**20)
    noise = np.random.default_rng(0).bytes(2**20 + 1)
    headers = {"Content-Encoding": "gzip"}
    assert_problem(client.post("/classify", content=gzip.compress(noise), headers=headers), "upload-too-large")
    assert_problem(client.post("/classify", content=gzip.compress(bytes(10**8)), headers=headers), "upload-too-large")
    assert_problem(client.post("/classify", content=b"no gzip", headers=headers), "malformed-request")
    other = client.post("/classify", content=GOOD, headers={"Content-Encoding": "br"})
    assert_problem(other, "unsupported-encoding")
    assert other.headers["accept-encoding"] == "gzip, deflate"
    eventually(lambda: runtime_of(client).admission.held_bytes == 0)


PREFIX = "/ai/fetal"


@pytest.mark.parametrize("by", ["setting", "header"])
@pytest.mark.parametrize("before", ["", PREFIX], ids=["taken off", "kept"])
def test_below_a_path_every_reference_leads_to_the_service(
    client: TestClient, serve: Callable[..., TestClient], by: str, before: str
) -> None:
    headers = {"X-Forwarded-Prefix": PREFIX} if by == "header" else {}
    served = client if by == "header" else serve(Phantom(), root_path=f"{PREFIX}/")
    assert served.get(f"{before}/health/live", headers=headers).status_code == 200
    problem = served.post(f"{before}/classify", content=b"nonsense", headers=headers).json()
    assert problem["type"] == f"{PREFIX}/problems/unsupported-format"
    assert served.get(f"{before}/nowhere", headers=headers).json()["type"] == f"{PREFIX}/problems/not-found"
    described = served.get(f"{before}/problems/not-found", headers=headers).json()
    assert described["type"] == f"{PREFIX}/problems/not-found"
    assert all(row["type"].startswith(PREFIX) for row in served.get(f"{before}/problems", headers=headers).json())
    assert served.get(f"{before}/openapi.json", headers=headers).json()["servers"][0] == {"url": PREFIX}
    assert served.get(f"{before}/docs", headers=headers).status_code == 200
    assert served.options(f"{before}/classify", headers=headers).headers["allow"] == "POST, OPTIONS"
    assert [each["url"] for each in client.get("/openapi.json").json()["servers"]] == [
        "/"
    ]  # the next request without a proxy


@pytest.mark.parametrize(
    ("header", "prefix"),
    [
        ("/ai/fetal/", PREFIX),
        ("/ai, /fetal", PREFIX),  # of two proxies
        ("/health", "/health"),
        ("/", ""),
        ("", ""),
        ("ai", ""),
        ("//evil.example", ""),
        ("https://evil.example", ""),
        ("/a/../b?c", ""),
        ("/a" * 200, ""),
    ],
)
def test_the_prefix_is_a_path_or_ignored(client: TestClient, header: str, prefix: str) -> None:
    headers = {"X-Forwarded-Prefix": header}
    assert client.get("/health/live", headers=headers).status_code == 200
    assert client.get("/nowhere", headers=headers).json()["type"] == f"{prefix}/problems/not-found"


@pytest.mark.parametrize("path", ["/model", "/health/../model", "/page/../model", "/metrics"])
def test_a_prefix_opens_no_path_without_a_key(serve: Callable[..., TestClient], tmp_path: Path, path: str) -> None:
    (tmp_path / "keys").write_text(new_key("ward")[1])
    client = serve(Phantom(), api_keys=tmp_path / "keys")
    for prefix in ("", "/health", "/page", "/docs", PREFIX):
        for before in ("", prefix):
            assert client.get(before + path, headers={"X-Forwarded-Prefix": prefix}).status_code in (401, 404)
