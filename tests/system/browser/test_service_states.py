"""A service that is busy, overloaded, starting, unreachable or protected by API keys."""

import json
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest

from service.api_keys import new_key
from service.sample.frames import draw_frame
from tests.support.images import encode
from tests.support.phantom_package import Phantom
from tests.support.server_thread import serving
from tests.system.browser.page_states import png
from tests.system.browser.visit import Visit, upload

if TYPE_CHECKING:
    from playwright.sync_api import Route

Visits = Callable[..., Visit]

PROBLEM = {
    "type": "/problems/overloaded", "title": "Overloaded", "status": 503, "detail": "Too many frames wait.",
    "code": "overloaded", "request_id": "r1",
}  # fmt: skip


def refuse(route: "Route", retry_after: str = "1") -> None:
    headers = {"content-type": "application/problem+json", "retry-after": retry_after}
    route.fulfill(status=503, headers=headers, body=json.dumps(PROBLEM))


@pytest.mark.parametrize("retry_after", ["1", "Thu, 01 Jan 1970 00:00:00 GMT"])
def test_retry_after_is_respected(visit: Visits, retry_after: str) -> None:
    page = visit()
    asked = []

    def busy(route: "Route") -> None:
        asked.append(1)
        if len(asked) <= 3:
            refuse(route, retry_after)
        else:
            route.continue_()

    page.page.route("**/classify?*", busy)
    page.add(*(upload(f"{n}.png", png("brain")) for n in range(4)), settle=False)
    if retry_after == "1":
        page.until("document.querySelector('#progress-text').textContent.startsWith('The service is busy')")
        assert page.text("#live").startswith("The service is busy.")
        assert len(asked) <= 4  # no request is sent during the pause
    page.settle()
    assert all(tile.startswith("Fetal brain") for tile in page.tiles())
    assert len(asked) == 7


def test_all_frames_are_classified_by_an_overloaded_service(
    visit: Visits, drawn_model: Phantom, tmp_path: Path
) -> None:
    with serving(drawn_model.write(tmp_path), workers=1, max_requests=1) as address:
        page = visit(address)
        url = urlsplit(address)
        with socket.create_connection((url.hostname, url.port)) as slow:  # holds the only slot while it is open
            slow.sendall(b"POST /classify HTTP/1.1\r\nHost: slow\r\nContent-Length: 1000\r\n\r\n.")
            while '"requests":1' not in urlopen(f"{address}/health").read().decode().replace(" ", ""):
                time.sleep(0.05)
            with page.page.expect_response(lambda reply: reply.status == 503):
                page.add(*(upload(f"{n}.png", png("brain")) for n in range(8)), settle=False)
        page.settle()
        assert len(page.tiles()) == 8
        assert all(tile.startswith("Fetal brain") for tile in page.tiles())


def test_the_page_waits_for_a_service_that_is_starting(visit: Visits, address: str) -> None:
    page = visit()
    turns = []

    def starting(route: "Route") -> None:
        turns.append(1)
        if len(turns) <= 2:
            refuse(route)
        else:
            route.continue_()

    page.page.route("**/model", starting)
    page.page.goto(address)
    page.add(upload("a.png", png("brain")), settle=False)
    page.until("document.querySelector('#verdict').textContent.includes('Fetal brain')")
    assert "model phantom 1.2.3" in page.text("#model")


def test_an_api_key_is_requested(visit: Visits, drawn_model: Phantom, tmp_path: Path) -> None:
    key, line = new_key("ward")
    (tmp_path / "keys").write_text(line + "\n")
    with serving(drawn_model.write(tmp_path / "model"), api_keys=tmp_path / "keys") as address:
        page = visit(address)
        page.page.locator("#key").fill("wrong")
        page.page.keyboard.press("Enter")
        page.until("document.querySelector('#key-problem').textContent === 'The service does not accept this key.'")
        page.page.locator("#key").fill(key)
        page.page.keyboard.press("Enter")
        page.until("document.querySelector('#formats').textContent")
        assert page.page.locator("#key-form").is_hidden()
        page.add(upload("head.tif", encode(draw_frame("brain"), "TIFF")))
        assert "Fetal brain" in page.text("#verdict")
        assert page.page.evaluate("document.querySelector('.thumb').drawn !== undefined")
