"""Nothing is lost by a slip: undo, a warning before leaving, Back and Forward, and the summary of a batch."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.drawn_model import UNSURE
from tests.system.browser.axe import violations
from tests.system.browser.page_states import png
from tests.system.browser.visit import Upload, Visit, upload

if TYPE_CHECKING:
    from playwright.sync_api import Dialog, Route

Visits = Callable[..., Visit]

NAMES = "[...document.querySelectorAll('#tiles li:not([hidden]) .tile-name')].map((each) => each.textContent)"


def brains(count: int) -> list[Upload]:
    return [upload(f"{n}.png", png("brain", n)) for n in range(count)]


def mixed() -> list[Upload]:
    """Return 12 files: a text comes first, one is not sure, one is a duplicate."""
    good = [upload(f"{n:02}.png", png(("brain", "femur")[n % 2], n)) for n in range(9)]
    return [upload("a.txt", b"text"), *good, upload("unsure.png", png(*UNSURE)), upload("copy.png", png("brain", 0))]


def names(page: Visit) -> list[str]:
    found: list[str] = page.page.evaluate(NAMES)
    return found


def shows(page: Visit, name: str) -> None:
    """Wait until the large frame is this one."""
    page.page.locator("#viewer-title", has_text=name).wait_for()


class TestUndo:
    def test_a_removed_frame_comes_back_as_it_was(self, visit: Visits) -> None:
        page = visit()
        page.add(*brains(3))
        page.page.locator("#tiles .tile").nth(1).click()
        page.page.check("#target-fetal_femur")
        page.settle()
        before, evidence = page.tiles(), page.text("#evidence")
        sent = len(page.requests)
        page.page.locator("#tiles .tile").nth(1).press("Delete")
        assert names(page) == ["0.png", "2.png"]
        assert page.text("#undo-bar") == "1.png removed. Undo Close"
        assert page.text("#live") == "1.png removed. Press Control and Z to undo."
        page.page.click("#undo")
        page.settle()
        assert (page.tiles(), page.text("#evidence")) == (before, evidence)
        assert page.page.locator("#target-fetal_femur").is_checked()
        assert page.text("#undo-bar") == "1.png restored. Redo Close"
        assert "1.png" in page.focused()
        again = [request.url for request in page.requests[sent:] if "classify" in request.url]
        assert again == []  # the answers were kept

    def test_removing_all_is_undone_by_keyboard_with_choices(self, visit: Visits) -> None:
        page = visit()
        page.add(*brains(3))
        page.page.click("#view-exam")
        page.page.locator("#exam .mark button").last.click()
        marks = page.page.locator("#exam .mark span").all_inner_texts()
        page.page.click("#view-frames")
        page.page.click("#clear")
        assert page.page.locator("#welcome").is_visible()
        assert page.focused() == "undo"
        assert violations(page.page) == []
        page.page.keyboard.press("Enter")
        page.page.click("#view-exam")
        assert page.page.locator("#exam .mark span").all_inner_texts() == marks
        assert "Chosen by you" in marks

    def test_removals_are_undone_one_by_one_and_in_order(self, visit: Visits) -> None:
        page = visit()
        page.add(*brains(4))
        page.page.locator("#tiles .tile").first.focus()
        for _ in range(2):
            page.page.keyboard.press("Delete")
        page.page.click("#clear")
        for left in (["2.png", "3.png"], ["1.png", "2.png", "3.png"], ["0.png", "1.png", "2.png", "3.png"]):
            page.page.keyboard.press("Control+z")
            assert names(page) == left

    def test_files_that_were_being_read_are_read_on(self, visit: Visits) -> None:
        page = visit()
        page.until("document.querySelector('#formats').textContent")
        held: list[Route] = []
        page.page.route("**/classify?*", lambda route: held.append(route))
        page.add(*brains(4), settle=False)
        page.until("document.querySelector('#tiles [data-kind=running]') !== null")
        page.page.click("#clear")
        page.page.unroute("**/classify?*")
        page.page.click("#undo")
        page.settle()
        assert page.page.locator("#tiles [data-kind=answered]").count() == 4
        assert page.page.title() == "Fetal Planes"  # the count is complete


class TestLeaving:
    @pytest.fixture
    def warnings(self) -> list[str]:
        return []

    def leave(self, page: Visit, warnings: list[str]) -> bool:
        """Reload, and refuse to leave if the browser asks; return whether it asked."""

        def stay(dialog: "Dialog") -> None:
            warnings.append(dialog.type)
            dialog.dismiss()

        page.page.on("dialog", stay)
        loads: list[object] = []

        def load(loaded: object) -> None:
            loads.append(loaded)

        page.page.on("domcontentloaded", load)
        page.page.evaluate("setTimeout(() => location.reload())")
        for _ in range(400):
            if warnings or loads:
                break
            page.page.wait_for_timeout(50)
        page.page.remove_listener("dialog", stay)
        page.page.remove_listener("domcontentloaded", load)
        return bool(warnings)

    def test_a_warning_while_files_are_left(self, visit: Visits, warnings: list[str]) -> None:
        page = visit()
        page.until("document.querySelector('#formats').textContent")
        page.page.route("**/classify?*", lambda route: None)
        page.add(*brains(3), settle=False)
        page.page.locator("#tiles .tile").nth(1).click()  # browsers ask only on pages that were used
        assert self.leave(page, warnings)
        assert len(page.tiles()) == 3

    def test_a_warning_until_a_choice_is_saved(self, visit: Visits, warnings: list[str]) -> None:
        page = visit()
        page.add(*brains(3))
        page.page.click("#view-exam")
        page.page.locator("#exam .mark button").last.click()
        assert self.leave(page, warnings)
        with page.page.expect_download():
            page.page.click("#export-csv")
        assert not self.leave(page, warnings[1:])

    def test_no_warning_where_nothing_would_be_lost(self, visit: Visits, warnings: list[str]) -> None:
        page = visit()
        page.page.click("#theme")
        assert not self.leave(page, warnings)
        page.add(*brains(2))
        page.page.click("#view-exam")
        assert not self.leave(page, warnings)


def test_back_goes_from_a_frame_to_the_exam_and_to_the_list(visit: Visits) -> None:
    page = visit()
    page.add(*brains(3))
    page.page.evaluate("window.same = true")
    page.page.click("#view-exam")
    tile = page.page.locator("#exam .tile").last
    opened = tile.locator(".tile-name").inner_text()
    tile.click()
    shows(page, opened)
    page.page.go_back()
    assert page.page.locator("#exam").is_visible()
    assert opened in str(page.page.evaluate("document.activeElement.innerText"))
    page.page.go_back()
    assert page.page.locator("#frames").is_visible()
    page.page.go_forward()
    assert page.page.locator("#exam").is_visible()
    page.page.go_forward()
    assert page.page.locator("#frames").is_visible()
    shows(page, opened)
    assert page.page.evaluate("window.same")  # never reloaded
    assert page.page.url.rstrip("/") == page.address  # no file is named


def test_many_files_land_on_their_exam_with_a_summary_that_filters(visit: Visits) -> None:
    page = visit()
    page.add(*mixed())
    assert page.page.locator("#exam").is_visible()
    assert page.text("#summary") == "12 files: 11 read 1 not sure 10 to review 1 could not be read 1 duplicate"
    assert violations(page.page) == []
    page.page.click("#filter-refused")
    assert page.page.locator("#frames").is_visible()
    assert names(page) == ["a.txt"]
    shows(page, "a.txt")
    page.page.click("#filter-not-sure")
    assert names(page) == ["unsure.png"]
    shows(page, "unsure.png")
    page.page.locator("#tiles li:not([hidden]) .tile").press("ArrowDown")
    page.page.wait_for_timeout(100)
    assert page.text("#viewer-title") == "unsure.png"  # the arrow keys stay within the filter
    page.page.click("#filter-duplicate")
    assert names(page) == ["copy.png"]
    assert "Same as 00.png" in (page.page.locator("#tiles li:not([hidden])").text_content() or "")
    page.page.click("#filter-all")
    assert len(names(page)) == 12
    page.page.go_back()
    assert page.page.locator("#exam").is_visible()


def test_a_stopped_batch_is_saved_as_unfinished(visit: Visits) -> None:
    page = visit()
    page.until("document.querySelector('#formats').textContent")
    seen: list[int] = []

    def first_only(route: "Route") -> None:
        seen.append(1)
        if len(seen) == 1:
            route.continue_()

    page.page.route("**/classify?*", first_only)
    page.add(*brains(5), settle=False)
    page.until("document.querySelector('#tiles [data-kind=answered]') !== null")
    page.page.click("#stop")
    with page.page.expect_download() as download:
        page.page.click("#export-csv")
    assert download.value.suggested_filename == "fetal-planes-unfinished.csv"
    lines = Path(download.value.path()).read_text("utf-8-sig").splitlines()
    rows = list(csv.DictReader(lines))
    assert [row["file"] for row in rows] == ["0.png", "1.png", "2.png", "3.png", "4.png"]  # one row for each file
    assert sorted(row["problem"] for row in rows) == ["", *["not-read-yet"] * 4]  # requests may overtake one another
