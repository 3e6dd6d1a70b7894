"""A service that dies, restarts or is busy: the queue is held, and reading goes on by itself or after Stop."""

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bench.servers import free_port, start_service, wait_until_ready
from service.sample.frames import draw_frame
from tests.support.images import animation
from tests.support.phantom_package import Phantom
from tests.system.browser.page_states import png
from tests.system.browser.visit import Upload, Visit, upload

if TYPE_CHECKING:
    from playwright.sync_api import Route

Visits = Callable[..., Visit]

HELD = "document.querySelector('#progress-text').textContent.startsWith('No connection, trying again')"


class Mortal:
    """A service in a process of its own, on one port, which can be killed and started again."""

    def __init__(self, model: Path) -> None:
        self.model, self.port = model, free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self) -> None:
        self.process = start_service(self.model, self.port, stderr=subprocess.DEVNULL)
        wait_until_ready(self.address, self.process)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def service(drawn_model: Phantom, tmp_path: Path) -> Iterator[Mortal]:
    mortal = Mortal(drawn_model.write(tmp_path / "model"))
    yield mortal
    mortal.kill()


def frames(count: int) -> list[Upload]:
    return [upload(f"{n:02}.png", png("brain", n % 12) + bytes(n)) for n in range(count)]


class Held:
    """Requests to `/classify` after the first ones, held until they are released."""

    def __init__(self, page: Visit, first: int) -> None:
        self.left, self.routes, self.released = first, list["Route"](), False
        page.page.route("**/classify?*", self._take)

    def _take(self, route: "Route") -> None:
        if self.released or self.left:
            self.left -= not self.released
            route.continue_()
        else:
            self.routes.append(route)

    def release(self) -> None:
        self.released = True
        for route in self.routes:
            route.continue_()


def test_a_killed_service_holds_the_queue_until_it_is_back(visit: Visits, service: Mortal) -> None:
    page = visit(service.address)
    held = Held(page, 4)
    page.add(*frames(9), settle=False)
    page.until("document.querySelectorAll('#tiles [data-kind=answered]').length === 4")
    service.kill()
    held.release()
    page.until(HELD)
    assert page.text("#live") == "No connection to the service. The page keeps the files and tries again."
    assert page.page.locator("#stop").is_visible()
    page.page.wait_for_timeout(1500)
    assert page.page.locator("#tiles [data-kind=refused]").count() == 0  # nothing is given up
    service.start()
    page.settle()
    assert page.page.locator("#tiles [data-kind=answered]").count() == 9
    assert page.page.locator("#progress").is_hidden()


def test_stop_ends_the_wait_and_the_rest_can_be_read_later(visit: Visits, service: Mortal) -> None:
    page = visit(service.address)
    held = Held(page, 2)
    page.add(*frames(7), settle=False)
    page.until("document.querySelectorAll('#tiles [data-kind=answered]').length === 2")
    service.kill()
    held.release()
    page.until(HELD)
    page.page.click("#stop")
    page.until("document.querySelector('#read-rest').offsetParent !== null")
    assert page.text("#summary") == "7 files: 2 read 2 to review 5 not read yet Read the 5 files that are left"
    page.page.click("#read-rest")  # still no service: the queue is held again
    page.until(HELD)
    service.start()
    page.settle()
    assert page.text("#summary") == "7 files: 7 read 7 to review"


def test_a_loop_goes_on_that_was_cut_off(visit: Visits, service: Mortal) -> None:
    page = visit(service.address)
    shown = [draw_frame("brain", height=240, width=320, seed=seed) for seed in range(4)]
    page.add(upload("loop.tiff", animation("TIFF", shown * 75)))  # so long that it is cut off
    page.page.click("text=Classify every frame")
    page.until("/^[1-9]\\d* of \\d+ frames done/.test(document.querySelector('#progress-text').textContent)")
    service.kill()
    page.until(HELD)
    service.start()
    page.settle()
    page.page.click("#view-exam")
    assert page.text("#exam .card-title").startswith("Missing: ")  # read whole


def test_a_gateway_without_its_service_is_waited_for(visit: Visits) -> None:
    page = visit()
    answers = iter([502, 502])
    page.page.route("**/classify?*", lambda route: gateway(route, next(answers, 200)))
    page.add(upload("a.png", png("brain")), settle=False)
    page.until(HELD)
    page.until("document.querySelector('#verdict').textContent.includes('Fetal brain')")


def gateway(route: "Route", status: int) -> None:
    route.continue_() if status == 200 else route.fulfill(status=status, body="<h1>Bad Gateway</h1>")


def test_a_file_that_breaks_the_connection_each_time_is_given_up(visit: Visits) -> None:
    page = visit()
    page.until("document.querySelector('#formats').textContent")
    page.page.route("**/classify?*", lambda route: route.abort())
    page.add(upload("a.png", png("brain")), settle=False)
    page.until("document.querySelector('#tiles [data-kind=refused]') !== null")
    page.page.unroute("**/classify?*")
    page.page.click("text=Try again")
    page.settle()
    assert "Fetal brain" in page.text("#verdict")


def test_a_busy_service_is_waited_for_until_stop(visit: Visits) -> None:
    page = visit()
    page.until("document.querySelector('#formats').textContent")
    busy = {"content-type": "application/problem+json", "retry-after": "30"}
    problem = json.dumps({"status": 503, "code": "overloaded", "title": "Overloaded", "detail": "Too many."})
    page.page.route("**/classify?*", lambda route: route.fulfill(status=503, headers=busy, body=problem))
    page.add(*frames(4), settle=False)
    page.until("document.querySelector('#progress-text').textContent.startsWith('The service is busy; trying again')")
    page.page.click("#stop")  # takes effect at once, not after the 30 seconds
    page.until("document.querySelectorAll('#tiles [data-kind=refused]').length === 4")
    assert page.text("#summary").endswith("Read the 4 files that are left")
