"""The credentials that an archive gets."""

from pathlib import Path

import pytest
import requests

from service.cli import main
from service.jobs.dicomweb import DicomWebArchive

URL = "http://archive/dicom-web"
BASIC = "Basic c29tZW9uZTplbHNl"  # someone:else


@pytest.fixture(autouse=True)
def netrc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "logins"
    file.write_text("default login someone password else\n")
    file.chmod(0o600)
    monkeypatch.setenv("NETRC", str(file))


def prepared(archive: DicomWebArchive, url: str = URL) -> requests.PreparedRequest:
    return archive._client._session.prepare_request(requests.Request("GET", url))


def after_redirect(archive: DicomWebArchive, url: str) -> str | bytes | None:
    response = requests.Response()
    response.request = prepared(archive)
    redirected = response.request.copy()
    redirected.url = url
    archive._client._session.rebuild_auth(redirected, response)
    return redirected.headers.get("Authorization")


def test_a_token_wins_over_netrc() -> None:
    archive = DicomWebArchive(URL, "right")
    assert prepared(archive).headers["Authorization"] == "Bearer right"
    assert after_redirect(archive, f"{URL}/") == "Bearer right"
    assert after_redirect(archive, "http://elsewhere/") is None


def test_a_login_in_the_url_wins_over_netrc() -> None:
    archive = DicomWebArchive("http://me:mine@archive/dicom-web")
    assert prepared(archive).headers["Authorization"] == "Basic bWU6bWluZQ=="


def test_netrc_is_used_without_either() -> None:
    assert prepared(DicomWebArchive(URL)).headers["Authorization"] == BASIC


def test_missing_certificates_are_an_error(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/missing/ca.pem")
    assert main(["process", "--dicomweb", URL, "--study", "1.2"]) == 2
    assert "the CA certificates /missing/ca.pem do not exist" in capsys.readouterr().err
