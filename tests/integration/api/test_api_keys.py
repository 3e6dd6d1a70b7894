"""API keys, and the headers that every reply carries."""

import hmac
from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from service.api.middleware.security_headers import DEFAULTS
from service.api_keys import KeyFileError, KeyRing, new_key
from service.cli import main
from service.observability.trace import read_traceparent
from tests.support.images import encode, speckle
from tests.support.phantom_package import Phantom
from tests.support.replies import assert_problem

GOOD = encode(speckle())


@pytest.fixture
def keyed(serve: Callable[..., TestClient], tmp_path: Path) -> tuple[TestClient, str]:
    key, line = new_key("ward-3")
    (tmp_path / "keys").write_text(f"# ours\n{new_key('other')[1]}\n\n{line}\n")
    return serve(Phantom(), api_keys=tmp_path / "keys"), key


def test_a_known_key_opens(keyed: tuple[TestClient, str], caplog: pytest.LogCaptureFixture) -> None:
    client, key = keyed
    with caplog.at_level("INFO"):
        for headers in ({"Authorization": f"Bearer {key}"}, {"authorization": f"bearer  {key}"}, {"X-API-Key": key}):
            assert client.post("/classify", content=GOOD, headers=headers).status_code == 200
    callers = [vars(record)["caller"] for record in caplog.records if record.name == "fetal_planes.requests"]
    assert callers == ["ward-3"] * 3
    assert key not in caplog.text


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer "},
        {"Authorization": "Basic d2FyZC0zOng="},
        {"X-API-Key": "ward-3"},
        {"X-API-Key": "ä" * 9000},
    ],
)
@pytest.mark.parametrize("path", ["/classify", "/explain", "/metrics", "/model", "/nowhere", "/health/../model"])
def test_any_other_does_not(keyed: tuple[TestClient, str], path: str, headers: dict[str, str]) -> None:
    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    reply = keyed[0].post(path, content=GOOD, headers=pairs)
    assert_problem(reply, "no-key")
    assert reply.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "path", ["/health", "/health/live", "/health/ready", "/", "/docs", "/docs/start.js", "/openapi.json", "/problems"]
)
def test_probes_and_public_pages_are_free(keyed: tuple[TestClient, str], path: str) -> None:
    assert keyed[0].get(path).status_code == 200


def test_every_key_is_compared_whatever_matches(monkeypatch: pytest.MonkeyPatch) -> None:
    made = [new_key(f"k{number}") for number in range(5)]
    ring = KeyRing({line.split()[0]: bytes.fromhex(line.split()[1]) for _, line in made})
    compared: list[bytes] = []
    compare = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", lambda a, b: compared.append(a) or compare(a, b))  # type: ignore[func-returns-value]
    assert [ring.holder(key) for key, _ in made] == ["k0", "k1", "k2", "k3", "k4"]
    assert ring.holder("no such key") is None
    assert len(compared) == 30


@pytest.mark.parametrize(
    "text", ["", "# none\n", "ward", "ward abc", f"ward {'A' * 64}", f"a b {'0' * 64}", f"w {'0' * 64}\nw {'1' * 64}"]
)
def test_a_bad_file_of_keys_is_refused(
    tmp_path: Path, text: str, phantom_folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "keys"
    path.write_text(text)
    with pytest.raises(KeyFileError):
        KeyRing.load(path)
    monkeypatch.setenv("FETAL_PLANES_API_KEYS", str(path))
    assert main(["serve", "--model", str(phantom_folder), "--port", "0"]) == 2
    assert f"the API keys of FETAL_PLANES_API_KEYS are refused: {path}" in capsys.readouterr().err


def test_a_missing_file_of_keys_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="cannot be read: No such file"):
        KeyRing.load(tmp_path / "none")


def test_the_command_makes_a_key_that_its_line_knows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["key", "ward-3"]) == 0
    made = capsys.readouterr()
    (tmp_path / "keys").write_text(made.out)
    assert KeyRing.load(tmp_path / "keys").holder(made.err.split()[-1]) == "ward-3"


@pytest.mark.parametrize("path", ["/health", "/nowhere", "/", "/docs", "/metrics"])
def test_every_reply_has_the_security_headers(client: TestClient, path: str) -> None:
    headers = client.get(path).headers
    assert {name.lower() for name in DEFAULTS} <= set(headers)
    assert "default-src 'none'" in headers["content-security-policy"]
    assert len(headers.get_list("content-security-policy")) == 1


TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.mark.parametrize("header", [f"00-{TRACE}-{PARENT}-01", f"01-{TRACE}-{PARENT}-00-more"])
def test_a_trace_is_read(client: TestClient, caplog: pytest.LogCaptureFixture, header: str) -> None:
    with caplog.at_level("INFO"):
        client.post("/classify", content=b"nonsense", headers={"traceparent": header})
    (line,) = [vars(record) for record in caplog.records if record.name == "fetal_planes.requests"]
    assert (line["trace_id"], line["parent_id"], line["problem"]) == (TRACE, PARENT, "unsupported-format")


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "nonsense",
        f"ff-{TRACE}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}-01-more",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{PARENT}-01",
    ],
)
def test_what_is_no_trace_is_passed_over(header: str | None) -> None:
    assert read_traceparent(header) == {}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_a_key_file_may_come_from_an_editor_of_windows(tmp_path: Path, encoding: str, line_end: str) -> None:
    key, line = new_key("ward-3")
    mark = "\ufeff" if encoding in ("utf-16-le", "utf-16-be") else ""  # the other codecs add it themselves
    (tmp_path / "keys").write_bytes(f"{mark}# ours{line_end}{line}{line_end}".encode(encoding))
    assert KeyRing.load(tmp_path / "keys").holder(key) == "ward-3"
