"""A person reviews frames: by key and by click, with undo; the exam, its report and the saved answers follow."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2 as httpx
import pytest

from service.sample.frames import draw_frame
from tests.support.drawn_model import UNSURE
from tests.support.images import animation, encode, speckle
from tests.support.phantom_package import PLANES, Phantom
from tests.support.phantom_sub_planes import BEST, NAMES, sub_plane_phantom
from tests.system.browser.axe import violations
from tests.system.browser.page_states import PAGE_STATES, png
from tests.system.browser.reviews import press, shows, tile_of
from tests.system.browser.visit import Visit, upload

if TYPE_CHECKING:
    from playwright.sync_api import Route

Visits = Callable[..., Visit]

ABDOMEN, BRAIN, FEMUR, THORAX = "1", "2", "3", "4"  # keys


def small(kind: str, seed: int) -> bytes:
    return encode(draw_frame(kind, height=240, width=320, seed=seed))


def tile(page: Visit, name: str) -> str:
    """Return the words of a tile."""
    words = (
        f"[...{tile_of(name)}.querySelectorAll('.tile-plane, .tile-value')].map((each) => each.textContent).join(' ')"
    )
    return str(page.page.evaluate(words))


def saved(page: Visit, selector: str) -> str:
    with page.page.expect_download() as download:
        page.page.click(selector)
    return Path(download.value.path()).read_text("utf-8-sig")


@pytest.fixture
def page(visit: Visits) -> Visit:
    page = visit()
    page.add(*(upload(f"{kind}.png", png(kind, 1)) for kind in ("brain", "abdomen", "femur")))
    return page


class TestKeys:
    def test_a_key_reviews_a_frame_and_goes_to_the_next(self, page: Visit) -> None:
        page.page.focus("#theme")  # single keys work everywhere
        press(page, "y", "brain.png")
        assert tile(page, "brain.png") == "Fetal brain confirmed"
        press(page, THORAX, "abdomen.png")
        assert tile(page, "abdomen.png") == "Fetal thorax corrected"
        press(page, "x", "femur.png")
        assert tile(page, "femur.png") == "No plane rejected"
        shows(page, "femur.png")  # nothing is left
        page.until("document.querySelector('#live').textContent.endsWith('Everything is reviewed.')")
        assert page.text("#verdict").startswith("✕ No plane Rejected by you. The model said: Fetal femur, ")
        assert page.text("#review-count") == "3 frames reviewed, 2 of them corrected."
        page.page.keyboard.press("p")
        page.until("document.querySelector('#verdict').textContent.includes('Corrected by you')")
        assert page.text("#verdict").startswith("✎ Fetal thorax Corrected by you. The model said: Fetal abdomen, ")

    def test_the_focus_stays_in_the_list(self, page: Visit) -> None:
        page.page.locator("#tiles .tile").first.focus()
        press(page, "y", "brain.png")
        page.until("document.activeElement.title === 'abdomen.png'")
        page.until("document.querySelector('#live').textContent.startsWith('brain.png: Fetal brain, confirmed.')")

    def test_the_next_answer_is_said_after_the_review(self, page: Visit) -> None:
        page.page.focus("#theme")
        press(page, "y", "brain.png")
        page.until("document.querySelector('#live').textContent.includes('abdomen.png: Fetal abdomen, ')")
        text = page.text("#live")
        assert text.startswith("brain.png: Fetal brain, confirmed. 2 files to review. abdomen.png: ")

    def test_keys_do_nothing_while_a_person_types_or_has_switched_them_off(self, page: Visit) -> None:
        page.page.click("#open-help")
        assert "confirm the answer" in page.text("#help .shortcuts")
        page.page.keyboard.press("y")
        page.page.uncheck("#single-keys")
        page.page.keyboard.press("Escape")
        for key in ("y", "x", BRAIN):
            page.page.keyboard.press(key)
        page.page.keyboard.press("ArrowDown")
        page.settle()
        assert page.page.locator("#tiles [data-verdict]").count() == 0
        assert page.page.locator("#review-bar").is_hidden()

    def test_a_whole_exam_is_reviewed_by_keys_alone(self, visit: Visits) -> None:
        page = visit()
        kinds = ("brain", "abdomen", "femur", "thorax", "cervix")
        names = [f"{number:02}.png" for number in range(55)]
        page.add(*(upload(name, small(kinds[number % 5], number)) for number, name in enumerate(names)))
        assert page.page.locator("#exam").is_visible()
        page.page.keyboard.press("v")
        for number, name in enumerate(names):
            press(page, "y" if number % 11 else THORAX, name)
        page.until("document.querySelector('#live').textContent.endsWith('Everything is reviewed.')")
        assert page.text("#review-count").startswith("55 frames reviewed")
        assert not page.page.locator("#filter-to-review").is_visible()

    def test_a_focused_frame_of_the_exam_is_reviewed(self, page: Visit) -> None:
        page.page.click("#view-exam")
        page.page.keyboard.press("y")
        page.until("document.querySelector('#live').textContent === 'Choose a frame of the exam first.'")
        page.page.locator("#exam .tile[title='brain.png']").focus()
        page.page.keyboard.press(FEMUR)
        page.until("document.activeElement.title === 'femur.png'")  # the next one of the exam
        femur = page.page.locator(".group", has=page.page.locator("h3", has_text="Fetal femur"))
        assert sorted(femur.locator(".tile-name").all_inner_texts()) == ["brain.png", "femur.png"]
        assert "the model said: Fetal brain" in page.text("#exam")
        page.page.keyboard.press("y")
        page.until("document.activeElement.title === 'abdomen.png'")
        page.page.keyboard.press("x")
        page.until("document.querySelector('.no-plane') !== null")
        assert "abdomen.png" in page.text(".no-plane")
        assert page.text("#exam .card-title") == "Missing: Fetal abdomen, Fetal brain, Fetal thorax, Maternal cervix"
        assert violations(page.page) == []


class TestClicks:
    def test_a_click_stays_and_shows_what_was_said(self, page: Visit) -> None:
        button = page.page.locator("#review").get_by_role("button", name="Fetal femur")
        button.click()
        page.until("document.querySelector('#verdict').textContent.includes('Corrected by you')")
        shows(page, "brain.png")
        assert button.get_attribute("aria-pressed") == "true"
        page.page.click("#review-confirm")
        page.until("document.querySelector('#verdict').textContent.includes('Confirmed by you')")
        assert button.get_attribute("aria-pressed") == "false"
        page.page.click("#review-clear")
        page.until("document.querySelector('#review-clear').hidden")
        assert "by you" not in page.text("#verdict")
        assert page.page.locator("#review-bar").is_hidden()
        assert page.focused() == "review-confirm"

    def test_the_buttons_are_one_tab_stop(self, page: Visit) -> None:
        page.page.focus("#review-confirm")
        for key, name in [("ArrowRight", "review-reject"), ("Home", "review-confirm")]:
            page.page.keyboard.press(key)
            assert page.focused() == name
        page.page.keyboard.press("End")
        assert page.focused().startswith("Other")


class TestUndo:
    def test_reviews_and_removals_are_undone_in_order_and_done_again(self, page: Visit) -> None:
        press(page, "y", "brain.png")
        press(page, FEMUR, "abdomen.png")
        shows(page, "femur.png")
        page.page.locator("#tiles .tile").last.press("Delete")
        assert len(page.tiles()) == 2
        page.page.keyboard.press("Control+z")
        assert len(page.tiles()) == 3
        page.page.keyboard.press("Control+z")
        page.until(f"{tile_of('abdomen.png')}.dataset.verdict === undefined")
        shows(page, "abdomen.png")
        assert page.text("#undo-bar") == "brain.png: Fetal brain, confirmed. Undo Redo Close"
        page.page.keyboard.press("Control+Shift+z")
        page.until(f"{tile_of('abdomen.png')}.dataset.verdict === 'supplemented'")
        page.page.keyboard.press("Control+y")
        assert len(page.tiles()) == 2
        page.page.click("#undo")
        assert len(page.tiles()) == 3
        page.page.keyboard.press("Control+z")
        page.page.keyboard.press("Control+z")
        page.until(f"{tile_of('brain.png')}.dataset.verdict === undefined")
        assert page.page.locator("#redo").is_visible()
        press(page, "x", "brain.png")  # what was undone is forgotten
        assert page.page.locator("#redo").is_hidden()

    def test_the_next_review_replaces_the_one_before(self, page: Visit) -> None:
        press(page, "x", "brain.png")
        page.page.evaluate(f"{tile_of('brain.png')}.click()")
        press(page, "y", "brain.png")
        page.until(f"{tile_of('brain.png')}.dataset.verdict === 'accepted'")
        page.page.keyboard.press("Control+z")
        page.until(f"{tile_of('brain.png')}.dataset.verdict === 'rejected'")

    def test_corrections_come_back_with_their_files(self, page: Visit) -> None:
        press(page, FEMUR, "brain.png")
        page.page.click("#clear")
        page.page.locator("#review-bar").wait_for(state="hidden")
        page.page.keyboard.press("Control+z")
        page.until(f"{tile_of('brain.png')}?.dataset.verdict === 'supplemented'")
        page.page.click("#clear")
        page.add(upload("brain.png", png("brain", 1)))  # a file that is added again was not reviewed
        assert page.page.locator("#tiles [data-verdict]").count() == 0


class TestFilter:
    def test_files_to_review_say_why_and_leave_the_list(self, visit: Visits) -> None:
        page = visit()
        page.add(
            upload("a.png", png("brain", 1)), upload("unsure.png", png(*UNSURE)), upload("copy.png", png("brain", 1))
        )
        page.until("document.querySelector('#filter-to-review').textContent === '2 to review'")
        assert "1 between two planes, 1 not reviewed yet" in str(page.page.get_attribute("#filter-to-review", "title"))
        page.page.click("#filter-to-review")
        page.until("document.querySelectorAll('#tiles li:not([hidden])').length === 2")
        notes = page.page.locator("#tiles li:not([hidden]) .tile-note").all_inner_texts()
        assert notes == ["Not reviewed yet", "Between two planes"]
        press(page, "y", "a.png")
        page.until("document.querySelectorAll('#tiles li:not([hidden])').length === 1")
        assert tile(page, "copy.png") == "Fetal brain confirmed"  # one review for files with the same bytes
        press(page, BRAIN, "unsure.png")
        page.until("document.querySelectorAll('#tiles li:not([hidden])').length === 3")  # nothing to review is left
        assert tile(page, "unsure.png") == "Fetal brain confirmed"

    def test_keys_stay_within_another_filter(self, visit: Visits) -> None:
        page = visit()
        page.add(
            upload("u1.png", png(*UNSURE)),
            upload("a.png", png("brain", 1)),
            upload("u2.bmp", encode(draw_frame(UNSURE[0], seed=UNSURE[1]), "BMP")),
        )
        page.until("document.querySelector('#filter-not-sure').textContent === '2 not sure'")
        page.page.click("#filter-not-sure")
        press(page, "x", "u1.png")
        press(page, "x", "u2.bmp")
        page.until("document.querySelector('#live').textContent.startsWith('u2.bmp: No plane')")
        shows(page, "u2.bmp")


class TestExam:
    def test_the_report_and_the_exports_say_what_the_model_said(self, page: Visit) -> None:
        press(page, THORAX, "brain.png")
        press(page, "y", "abdomen.png")
        press(page, "x", "femur.png")
        frames = {each["file"]: each for each in json.loads(saved(page, "#export-json"))["frames"]}
        assert frames["brain.png"]["correction"] == {
            "verdict": "supplemented",
            "plane": "fetal_thorax",
            "sub_plane": None,
        }
        assert frames["brain.png"]["predictions"][0]["plane"] == "fetal_brain"
        rows = {row["file"]: row for row in csv.DictReader(io.StringIO(saved(page, "#export-csv")))}
        columns = ("plane", "verdict", "corrected_plane")
        assert [[rows[name][each] for each in columns] for name in ("brain.png", "abdomen.png", "femur.png")] == [
            ["fetal_brain", "supplemented", "fetal_thorax"],
            ["fetal_abdomen", "accepted", "fetal_abdomen"],
            ["fetal_femur", "rejected", ""],
        ]
        page.page.click("#view-exam")
        page.until("document.querySelector('#exam .card.abstained') !== null")
        assert page.text("#exam .card-title") == "Missing: Fetal brain, Fetal femur, Maternal cervix"
        report = " ".join(saved(page, "#report").split())
        assert "Missing: Fetal brain, Fetal femur, Maternal cervix" in report
        assert "<b>Corrected by a person</b>; the model said: Fetal brain " in report
        assert "<b>Confirmed by a person</b>" in report
        assert "<h2>No plane, as a person says" in report
        assert "<b>Rejected by a person</b>; the model said: Fetal femur " in report

    def test_the_page_and_the_service_count_corrections_alike(self, visit: Visits) -> None:
        loop = [draw_frame(kind, seed=seed) for kind in ("brain", "abdomen") for seed in range(3)]
        files = {
            "a.png": png("brain"),
            "b.png": png("femur", 2),
            "c.png": png(*UNSURE),
            "loop.tiff": animation("TIFF", loop),
        }
        page = visit()
        page.add(*(upload(*each) for each in files.items()))
        page.page.click("#view-exam")
        page.until("!document.querySelector('#exam .card.waiting')")
        page.settle()
        page.page.click("#view-frames")
        press(page, FEMUR, "a.png")
        press(page, "y", "b.png")
        press(page, THORAX, "c.png")
        shows(page, "loop.tiff")
        page.page.keyboard.press(FEMUR)  # the most probable frame of a plane
        page.until("document.querySelector('#review-count').textContent.startsWith('4 ')")
        page.page.click("#view-exam")
        own = json.loads(saved(page, "#export-json"))["exam"]
        with page.page.expect_response("**/exam?*") as reply, page.page.expect_download():
            page.page.click("#report")
        query = reply.value.url.partition("?")[2]
        report = ask(page, query, files)
        for mine, other in zip(own["planes"], report["planes"], strict=True):
            assert [(f["file"], f["frame"], f["probability"], f["verdict"]) for f in mine["frames"]] == [
                (f["source"]["name"], f["source"]["frame"], f["probability"], (f["correction"] or {}).get("verdict"))
                for f in other["frames"]
            ]
        assert [(item["label"], item["state"]) for item in own["items"]] == [
            (item["label"], item["state"]) for item in report["items"]
        ]
        assert len(report["planes"][2]["frames"]) == 3


def ask(page: Visit, query: str, files: dict[str, bytes]) -> dict[str, Any]:
    """Return the exam report that the service gives for a query of the page."""
    reply = httpx.post(f"{page.address}/exam?{query}", files=[("files", each) for each in files.items()], timeout=60)
    answer: dict[str, Any] = reply.json()
    return answer


class TestStates:
    def test_a_frame_is_reviewed_while_its_answer_is_on_its_way(self, visit: Visits) -> None:
        page = visit()
        page.until("document.querySelector('#formats').textContent")
        held: list[Route] = []
        page.page.route("**/classify?*", lambda route: held.append(route))
        page.add(upload("a.png", png("brain", 1)), settle=False)
        page.until("document.querySelector('#tiles [data-kind=running]') !== null")
        page.page.keyboard.press("y")
        page.until("document.querySelector('#live').textContent === 'No answer yet: nothing to confirm.'")
        page.page.keyboard.press(FEMUR)
        page.until("document.querySelector('#verdict').textContent.includes('It counts once the model has answered.')")
        assert page.page.locator("#review-bar").is_hidden()
        for route in held:
            route.continue_()
        page.until(f"{tile_of('a.png')}.dataset.verdict === 'supplemented'")
        assert "The model said: Fetal brain" in page.text("#verdict")

    def test_a_refused_frame_cannot_be_reviewed(self, visit: Visits) -> None:
        page = visit()
        page.add(upload("a.txt", b"text"))
        page.page.keyboard.press(BRAIN)
        page.until("document.querySelector('#live').textContent === 'a.txt was not classified: it cannot be reviewed.'")
        assert page.page.locator("#review").is_hidden()
        assert page.page.locator("#filter-to-review").is_hidden()

    def test_of_a_loop_the_most_probable_frame_of_each_plane_is_to_be_reviewed(self, visit: Visits) -> None:
        page = visit()
        loop = [draw_frame(kind, seed=seed) for kind in ("brain", "abdomen") for seed in range(3)]
        page.add(upload("loop.tiff", animation("TIFF", loop)), upload("a.png", png("femur", 2)))
        page.page.click("text=Classify every frame")
        page.settle()
        page.page.keyboard.press("n")
        shows(page, "a.png")
        page.page.keyboard.press("y")
        for number in (1, 2):
            shows(page, "loop.tiff")
            page.page.keyboard.press("y")
            page.until(f"document.querySelector('#review-count').textContent.startsWith('{number + 1} frames')")
        page.until("document.querySelector('#live').textContent.endsWith('Everything is reviewed.')")

    def test_a_warning_until_the_reviews_are_saved(self, page: Visit) -> None:
        unsaved = "window.dispatchEvent(new Event('beforeunload', { cancelable: true }))"
        assert page.page.evaluate(unsaved)
        press(page, "y", "brain.png")
        assert not page.page.evaluate(unsaved)
        saved(page, "#export-csv")
        assert page.page.evaluate(unsaved)


def test_sub_planes_have_keys_of_their_own(visit: Visits, serve: Callable[[Phantom], str]) -> None:
    page = visit(serve(sub_plane_phantom()))
    page.add(*(upload(f"{seed}.png", encode(speckle(64, 64, seed))) for seed in range(4)))
    label = BEST.replace("_", " ").capitalize()
    press(page, "s", "0.png")
    press(page, "f", "1.png")
    press(page, str(PLANES.index(BEST) + 1), "2.png")
    page.page.evaluate(f"{tile_of('0.png')}.click()")
    page.until("document.querySelector('#verdict').textContent.includes('by you')")
    finer = NAMES[1].replace("_", " ").capitalize()
    rows = {row["file"]: row for row in csv.DictReader(io.StringIO(saved(page, "#export-csv")))}
    assert (rows["0.png"]["corrected_plane"], rows["0.png"]["corrected_sub_plane"]) == (BEST, NAMES[1])
    assert (rows["1.png"]["corrected_plane"], rows["1.png"]["corrected_sub_plane"]) == (BEST, "")
    assert rows["2.png"]["corrected_plane"] == BEST
    pressed = page.page.locator("#review-choices [aria-pressed=true]").all_inner_texts()
    assert {text.split("\n")[0].rsplit(" ", 1)[0] for text in pressed} >= {label} or finer in " ".join(pressed)


def test_the_bar_and_the_buttons_are_accessible(visit: Visits) -> None:
    page = visit()
    PAGE_STATES["reviewed"].enter(page.page)
    assert page.page.get_by_role("group", name="Your review").count() == 1
    assert page.page.get_by_role("region", name="Reviewed frames").count() == 1
    assert page.page.get_attribute("#review-confirm", "aria-keyshortcuts") == "Y"
