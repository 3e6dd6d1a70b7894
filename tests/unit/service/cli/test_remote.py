"""Commands with `--url`: what can go wrong before a service answers, and answers of other services."""

import sys
from pathlib import Path

import httpx2
import pytest

from fetal_planes_client import Client
from service import cli
from service.cli import remote


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SSL_CERT_FILE", "/missing/ca.pem"),
        ("HTTP_PROXY", "://x"),
        ("ALL_PROXY", "socks5://127.0.0.1:1"),
        ("FETAL_PLANES_CLIENT_KEY", "a\nb"),
        ("FETAL_PLANES_CLIENT_KEY", "\u043a\u043b\u044e\u0447"),
    ],
)
def test_a_client_that_cannot_be_set_up_names_the_variable(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str, value: str
) -> None:
    for each in ("NO_PROXY", "no_proxy", "http_proxy", "all_proxy"):
        monkeypatch.delenv(each, raising=False)
    monkeypatch.setenv(name, value)
    assert cli.main(["classify", "--url", "http://127.0.0.1:1", str(tmp_path / "x.png")]) == 2
    error = capsys.readouterr().err
    assert name in error
    assert error.count("\n") == 1


def test_without_the_client_the_missing_package_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delitem(sys.modules, "service.cli.remote")
    monkeypatch.delattr(cli, "remote")
    monkeypatch.setitem(sys.modules, "fetal_planes_client", None)
    assert cli.main(["classify", "--url", "http://127.0.0.1:1", "x.png"]) == 2
    assert "fetal-planes-client" in capsys.readouterr().err


@pytest.mark.parametrize("body", ["<html>Welcome</html>", '{"name": "elsewhere"}'])
def test_the_answer_of_another_service_is_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, body: str
) -> None:
    transport = httpx2.MockTransport(lambda _: httpx2.Response(200, text=body))
    monkeypatch.setattr(remote, "Client", lambda url, api_key: Client(url, transport=transport))
    frame = tmp_path / "x.png"
    frame.write_bytes(b"frame")
    for command in ("classify", "cine"):
        assert cli.main([command, "--url", "http://elsewhere", str(frame)]) == 2
        assert "http://elsewhere" in capsys.readouterr().err
