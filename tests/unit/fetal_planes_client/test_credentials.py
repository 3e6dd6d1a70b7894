from pathlib import Path

import httpx2
import pytest

from fetal_planes_client import Client, UnreadableReplyError

BASIC = "Basic c29tZW9uZTplbHNl"  # someone:else


@pytest.fixture
def netrc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / ".netrc"
    file.write_text("machine service login someone password else\n")
    file.chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("NETRC", raising=False)
    return file


def headers_sent(url: str, api_key: str | None = None) -> httpx2.Headers:
    sent: list[httpx2.Headers] = []

    def reply(request: httpx2.Request) -> httpx2.Response:
        sent.append(request.headers)
        return httpx2.Response(200, json={})

    with (
        Client(url, api_key=api_key, transport=httpx2.MockTransport(reply)) as client,
        pytest.raises(UnreadableReplyError),
    ):
        client.model()  # `{}` is not a manifest
    return sent[0]


@pytest.mark.usefixtures("netrc")
def test_netrc_is_used_without_a_key() -> None:
    assert headers_sent("http://service")["authorization"] == BASIC
    assert "authorization" not in headers_sent("http://elsewhere")


@pytest.mark.usefixtures("netrc")
def test_a_key_wins_over_netrc() -> None:
    headers = headers_sent("http://service", "secret")
    assert headers["x-api-key"] == "secret"
    assert "authorization" not in headers


@pytest.mark.usefixtures("netrc")
def test_a_login_in_the_url_wins_over_netrc() -> None:
    assert headers_sent("http://me:mine@service")["authorization"] == "Basic bWU6bWluZQ=="


def test_another_file_can_be_named(netrc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NETRC", str(netrc.rename(netrc.with_name("logins"))))
    assert headers_sent("http://service")["authorization"] == BASIC


@pytest.fixture(params=["missing", "malformed", "binary", "folder"])
def unusable(request: pytest.FixtureRequest, netrc: Path) -> None:
    netrc.unlink()
    if request.param == "folder":
        netrc.mkdir()
    elif request.param != "missing":
        netrc.write_bytes({"malformed": b"machine", "binary": b"\xff\xfe\x00"}[request.param])
        netrc.chmod(0o600)


@pytest.mark.usefixtures("unusable")
def test_an_unusable_file_is_ignored() -> None:
    assert "authorization" not in headers_sent("http://service")
