"""The page's files: what they are served with, and what they must not hold."""

import re
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

import service

PAGE = Path(service.__file__).parent / "web"
FILES = sorted(PAGE.iterdir())


def test_the_page_is_served(client: TestClient) -> None:
    reply = client.get("/")
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    assert reply.content == (PAGE / "index.html").read_bytes()


@pytest.mark.parametrize("path", ["/", *(f"/page/{file.name}" for file in FILES)])
def test_every_file_has_its_headers(client: TestClient, path: str) -> None:
    reply = client.get(path)
    assert reply.status_code == 200
    policy = dict(part.strip().split(" ", 1) for part in reply.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["referrer-policy"] == "no-referrer"
    assert reply.headers["cache-control"] == "no-cache"
    assert client.head(path).headers["etag"] == reply.headers["etag"]


def test_the_page_alone_may_read_a_camera_or_the_screen(client: TestClient) -> None:
    allowed = client.get("/").headers["permissions-policy"]
    assert {"camera=(self)", "display-capture=(self)", "microphone=()"} <= set(allowed.split(", "))
    assert client.get("/", headers={"if-none-match": "*"}).headers["permissions-policy"] == allowed
    for path in ("/page/main.js", "/docs"):
        assert {"camera=()", "display-capture=()"} <= set(client.get(path).headers["permissions-policy"].split(", "))


@pytest.mark.parametrize("form", ["{}", "W/{}", '"other", {}', "*"])
def test_what_the_browser_has_is_not_sent_again(client: TestClient, form: str) -> None:
    etag = client.get("/").headers["etag"]
    reply = client.get("/", headers={"if-none-match": form.format(etag)})
    assert (reply.status_code, reply.content) == (304, b"")
    assert reply.headers["etag"] == etag
    assert client.get("/", headers={"if-none-match": '"other"'}).status_code == 200


@pytest.mark.parametrize("name", ["nothing.js", "..%2Fapp.py", "%2e%2e", "index.html%00", "sub/style.css"])
def test_no_other_file_is_to_be_had(client: TestClient, name: str) -> None:
    reply = client.get(f"/page/{name}")
    assert (reply.status_code, reply.json()["code"]) == (404, "not-found")


def test_files_lead_to_files() -> None:
    names = {file.name for file in FILES}
    for file in FILES:
        text = file.read_text()
        led = re.findall(r'from "\./([^"]+)"', text) if file.suffix == ".js" else re.findall(r'"page/([^"]+)"', text)
        assert set(led) <= names, file.name


def test_nothing_comes_from_elsewhere_and_nothing_is_inline() -> None:
    for file in FILES:
        text = file.read_text().replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|@import|\burl\(", text), file.name
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(", text), file.name
        assert not re.search(r"localStorage|sessionStorage|indexedDB|document\.cookie", text), file.name
    html = (PAGE / "index.html").read_text()
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]* src=)", html)


def test_files_are_about_one_idea_each() -> None:
    assert {file.suffix for file in FILES} <= {".html", ".css", ".js", ".svg"}
    assert not [file.name for file in FILES if len(file.read_text().splitlines()) > 250]
