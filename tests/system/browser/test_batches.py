"""Many files at once: order, progress, and files that are not frames."""

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from tests.system.browser.page_states import png
from tests.system.browser.visit import Upload, Visit, upload

if TYPE_CHECKING:
    from playwright.sync_api import Route

Visits = Callable[..., Visit]


class TestFiftyFrames:
    @pytest.fixture
    def fifty(self) -> list[Upload]:
        kinds = ["brain", "abdomen", "femur", "thorax", "cervix"]
        frames = {kind: [png(kind, seed) for seed in range(2)] for kind in kinds}
        return [upload(f"frame_{n:02}.png", frames[kinds[n % 5]][n % 2]) for n in range(50)]

    def test_all_are_classified_in_order_few_at_a_time(self, visit: Visits, fifty: list[Upload]) -> None:
        page = visit()
        page.page.evaluate(
            """() => {
              const ask = window.fetch;
              window.running = window.most = window.asked = 0;
              window.fetch = async (...request) => {
                if (!request[0].startsWith("classify")) return ask(...request);
                window.asked += 1;
                window.most = Math.max(window.most, ++window.running);
                try { return await ask(...request); } finally { window.running -= 1; }
              };
            }"""
        )
        page.add(*fifty)
        tiles = page.tiles()
        assert [tile.split()[-1] for tile in tiles] == [each["name"] for each in fifty]
        assert all(tile.startswith("Fetal brain") for tile in tiles[::5])
        assert all(tile.startswith("Fetal femur") for tile in tiles[2::5])
        assert page.page.evaluate("window.asked") == 50
        assert 1 <= page.page.evaluate("window.most") <= 4
        assert page.page.locator("#tiles .thumb").evaluate_all("all => all.filter((one) => one.drawn).length") == 50
        page.until("document.querySelector('#live').textContent.startsWith('50 frames done: ')")

    def test_progress_is_shown_and_can_be_stopped(self, visit: Visits, fifty: list[Upload]) -> None:
        page = visit()
        released = threading.Event()
        served: list[int] = []

        def slow(route: "Route") -> None:
            served.append(1)
            if len(served) > 10 and not released.is_set():
                held.append(route)
            else:
                route.continue_()

        held: list[Route] = []
        page.page.route("**/classify?*", slow)
        page.add(*fifty, settle=False)
        page.until("document.querySelector('#progress-text').textContent.startsWith('10 of 50 frames done.')")
        assert page.page.locator("#progress-bar").evaluate("bar => bar.value / bar.max") == pytest.approx(0.2)
        assert page.page.title() == "10/50 · Fetal Planes"
        assert page.text("#live") == "Classifying 50 frames."
        page.page.click("#stop")
        released.set()
        for route in held:
            route.continue_()
        page.settle()
        assert len(served) <= 14
        assert sum(tile.startswith("Stopped") for tile in page.tiles()) == 50 - len(served)
        page.page.click("#view-frames")  # the exam would show the duplicates that were found so far
        page.page.locator("#tiles .tile").last.click()
        page.until("document.querySelector('#viewer-title').textContent === 'frame_49.png'")
        page.page.click("text=Try again")
        page.settle()
        assert page.tiles()[-1].startswith("Maternal cervix")


def test_a_bad_file_does_not_affect_others(visit: Visits) -> None:
    page = visit()
    page.add(upload("a.png", png("brain")), upload("b.txt", b"hello"), upload("c.png", png("femur")[:900]))
    page.add(upload("d.png", png("femur")))
    tiles = page.tiles()
    assert tiles[0].startswith("Fetal brain")
    assert tiles[1] == "Unsupported format b.txt"
    assert tiles[2] == "Unreadable frame c.png"
    assert tiles[3].startswith("Fetal femur")
    page.page.locator(".tile").nth(1).click()
    page.settle()
    assert page.text("#verdict").startswith("! Unsupported format The bytes are text.")
    assert "unsupported-format" not in page.text("main")  # first the words, not the code
    assert "unsupported-format" in (page.page.locator("#details").text_content() or "")
    assert page.text("#no-picture") == "This file cannot be displayed."
    assert page.page.locator("#planes").is_hidden()
    assert page.page.locator("text=Try again").count() == 0


def test_removing_frames(visit: Visits) -> None:
    page = visit()
    page.add(*(upload(f"{n}.png", png("brain", n)) for n in range(3)))
    page.page.click("#remove")
    assert [tile.split()[-1] for tile in page.tiles()] == ["1.png", "2.png"]
    assert page.text("#viewer-title") == "1.png"
    page.page.click("#clear")
    assert page.page.locator("#welcome").is_visible()
    assert page.page.locator("#export").is_hidden()
    page.add(upload("again.png", png("femur")))
    assert "Fetal femur" in page.text("#verdict")
