"""The exam view: frames by plane, missing planes, frames to check, and the saved exam report."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2 as httpx
import pytest

from service.sample.frames import draw_frame
from tests.support import dicom_objects
from tests.support.drawn_model import UNSURE
from tests.support.images import animation, encode, speckle
from tests.support.phantom_package import Phantom
from tests.support.phantom_sub_planes import sub_plane_phantom
from tests.support.server_thread import serving
from tests.system.browser.page_states import png
from tests.system.browser.visit import Visit, upload

if TYPE_CHECKING:
    from playwright.sync_api import Route

Visits = Callable[..., Visit]


PROTOCOL = """name = "Ours"
version = "7"
exam = "Follow-up"
source = { guideline = "List of the department" }
not_covered = "Everything else."

[[items]]
plane = "fetal_brain"
min = 3
note = "Three frames"

[[items]]
label = "Trunk"
one_of = [{ plane = "fetal_thorax" }, { plane = "fetal_abdomen" }]

[[items]]
plane = "maternal_cervix"
optional = true
"""


def write_protocol(folder: Path) -> Path:
    folder.mkdir()
    (folder / "ours.toml").write_text(PROTOCOL)
    return folder


def states(page: Visit) -> list[str | None]:
    return [each.get_attribute("data-state") for each in page.page.locator(".checklist li").all()]


def test_a_protocol_is_chosen_and_checked(visit: Visits, drawn_model: Phantom, tmp_path: Path) -> None:
    protocols = write_protocol(tmp_path / "protocols")
    with serving(drawn_model.write(tmp_path / "model"), protocols=protocols, default_protocol="ours") as address:
        page = visit(address)
        page.add(upload("a.png", png("brain")), upload("b.png", png("abdomen", 1)))
        page.page.click("#view-exam")
        page.until("document.querySelectorAll('.checklist li').length === 3")
        assert page.text("#exam .card-title") == "Missing: Fetal brain"
        assert states(page) == ["missing", "fulfilled", "missing"]
        assert "Three frames" in page.text(".checklist li >> nth=0")
        assert "Missing · 1 of 3" in page.text(".checklist li >> nth=0")
        page.page.click("summary:has-text('What this protocol covers')")
        assert "Not covered: Everything else." in page.text("#exam details")
        page.page.focus("#protocol")
        page.page.select_option("#protocol", "cervix")
        page.until("document.querySelectorAll('.checklist li').length === 1")
        assert page.text("#exam .card-title") == "Missing: Maternal cervix"
        assert page.focused() == "protocol"
        page.page.select_option("#protocol", "ours")
        page.until("document.querySelectorAll('.checklist li').length === 3")
        page.page.click("#item-1")
        page.until("document.querySelector('#viewer-title').textContent === 'b.png'")


def test_an_open_choice_stays_open_while_files_are_read(visit: Visits) -> None:
    page = visit()
    page.add(upload("a.png", png("brain")))
    page.page.click("#view-exam")
    page.page.select_option("#protocol", "cervix")
    page.page.click("summary:has-text('What this protocol covers')")
    page.page.focus("#protocol")
    page.page.evaluate(
        """() => {
          window.removed = 0;
          const select = document.querySelector("#protocol");
          const count = (changes) => changes.forEach(({ removedNodes }) => removedNodes.forEach((node) => {
            window.removed += node.contains(select);
          }));
          new MutationObserver(count).observe(document.querySelector("#exam"), { childList: true, subtree: true });
        }"""
    )
    page.add(*(upload(f"{number}.png", png("abdomen", number)) for number in range(4)), settle=False)
    page.until("document.querySelectorAll('#exam .shelf .tile').length === 5")
    assert page.page.evaluate("window.removed") == 0
    assert page.page.evaluate("document.querySelector('#exam details').open")
    assert page.focused() == "protocol"
    page.page.select_option("#protocol", "all-planes")
    page.until("document.querySelectorAll('.checklist li').length === 5")


def test_missing_planes_are_named(visit: Visits) -> None:
    page = visit()
    names = {"brain": 2, "abdomen": 1, "femur": 1}
    page.add(*(upload(f"{kind}{n}.png", png(kind, n)) for kind, count in names.items() for n in range(count)))
    page.page.click("#view-exam")
    page.until("document.querySelector('#exam .card.abstained') !== null")
    assert page.text("#exam .card-title") == "Missing: Fetal thorax, Maternal cervix"
    groups = page.page.locator(".group:has(.shelf) h3").all_inner_texts()
    assert groups == ["Fetal abdomen 1", "Fetal brain 2", "Fetal femur 1"]
    assert states(page) == ["fulfilled", "fulfilled", "fulfilled", "missing", "missing"]


def test_the_best_frame_of_a_plane_comes_first_and_opens(visit: Visits) -> None:
    page = visit()
    page.add(*(upload(f"brain{seed}.png", png("brain", seed)) for seed in range(4)))
    page.page.click("#view-exam")
    shelf = page.page.locator(".group:has(.shelf)").first.locator(".tile")
    figures = [
        float(text)
        for text in shelf.locator(".tile-value").evaluate_all(
            "all => all.map((e) => parseFloat(e.textContent.replace('>', '')))"
        )
    ]
    assert figures == sorted(figures, reverse=True)
    name = shelf.first.locator(".tile-name").inner_text()
    marks = page.page.locator(".group .mark span").all_inner_texts()
    assert marks[0].startswith("Most probable")
    shelf.first.click()
    assert page.text("#viewer-title") == name


def test_frames_to_check_by_hand_are_listed(visit: Visits) -> None:
    page = visit()
    page.add(upload("a.png", png("brain")), upload("unsure.png", png(*UNSURE)), upload("b.txt", b"x"))
    page.page.click("#view-exam")
    by_hand = page.text(".by-hand")
    assert "Between two planes · 1" in by_hand
    assert "unsure.png" in by_hand
    assert "Not classified · 1" in by_hand
    assert "a.png" not in by_hand


def test_the_exam_report_is_saved_with_names_that_were_never_sent(visit: Visits) -> None:
    names = ["Jane <Doe> & co.png", "second.png"]
    page = visit()
    page.add(upload(names[0], png("brain")), upload(names[1], png("abdomen")))
    page.page.click("#view-exam")
    with page.page.expect_download() as download:
        page.page.click("#report")
    assert download.value.suggested_filename == "exam.html"
    saved = Path(download.value.path()).read_text("utf-8")
    assert "Jane &lt;Doe&gt; &amp; co.png" in saved
    assert names[1] in saved
    assert "Missing: Fetal femur, Fetal thorax, Maternal cervix" in saved
    assert saved.count("Heat map over the first frame") == 2
    (asked,) = [request for request in page.requests if "/exam?" in request.url]
    assert b"Doe" not in (asked.post_data_buffer or b"")
    assert page.text("#exam [role=status]") == "Saved."


def test_a_refused_exam_report_gives_the_reason(visit: Visits, drawn_model: Phantom, tmp_path: Path) -> None:
    with serving(drawn_model.write(tmp_path), max_batch_bytes=2048) as address:
        page = visit(address)
        page.add(upload("a.png", png("brain")))
        page.page.click("#view-exam")
        page.page.click("#report")
        page.until("document.querySelector('#exam [role=status]').textContent.includes('limit of 2048 bytes')")
        assert page.page.is_enabled("#report")


def test_a_cine_gives_the_best_frame_of_each_plane(visit: Visits) -> None:
    frames = [draw_frame(kind, seed=seed) for kind in ("brain", "abdomen") for seed in range(2)]
    page = visit()
    page.add(upload("cine.tiff", animation("TIFF", frames)))
    page.page.click("#view-exam")  # reads the loop
    page.until("document.querySelectorAll('#exam .group .tile').length === 2")
    page.until("document.querySelector('#exam .card-title').textContent.startsWith('Missing')")
    assert page.text("#exam .card-title") == "Missing: Fetal femur, Fetal thorax, Maternal cervix"


def open_exam(page: Visit) -> None:
    page.page.click("#view-exam")
    page.until("document.querySelector('#exam .card-title') !== null")


def test_nothing_is_called_absent_until_everything_was_read(visit: Visits) -> None:
    page = visit()
    stuck: list[Route] = []
    seen: list[int] = []

    def first_only(route: "Route") -> None:
        seen.append(1)
        if len(seen) == 1:
            route.continue_()
        else:
            stuck.append(route)

    page.page.route("**/classify?*", first_only)
    page.add(*(upload(f"brain{seed}.png", png("brain", seed)) for seed in range(5)), settle=False)
    page.until("document.querySelector('.tile[data-kind=answered]') !== null")
    open_exam(page)
    assert page.text("#exam .card-title") == "Not read yet: 4 of 5 files left"
    assert page.page.locator("#exam .card.answered, #exam .card.abstained").count() == 0
    assert "not-read-yet" in states(page)
    assert "Missing" not in page.text("#exam")
    page.page.click("#stop")
    for route in stuck:
        route.abort()  # the service is gone
    page.until("document.querySelector('#read-left') !== null")
    assert page.text("#exam .card-title") == "Not read yet: 4 of 5 files left"
    assert "Not classified" not in page.text("#exam")  # these frames are left, not refused
    page.page.unroute("**/classify?*")
    page.page.click("text=Read the 4 files that are left")
    page.until("document.querySelector('#exam .card.abstained') !== null")
    assert page.text("#exam .card-title").startswith("Missing: Fetal abdomen, Fetal femur")


def test_an_unfinished_exam_is_saved_as_such(visit: Visits) -> None:
    page = visit()
    seen: list[int] = []

    def first_only(route: "Route") -> None:
        seen.append(1)
        route.continue_() if len(seen) == 1 else route.abort()

    page.page.route("**/classify?*", first_only)
    page.add(upload("a.png", png("brain")), upload("b.png", png("femur")))
    open_exam(page)
    with page.page.expect_download() as download:
        page.page.click("#report")
    assert download.value.suggested_filename == "exam-unfinished.html"
    saved = Path(download.value.path()).read_text("utf-8")
    assert "(1 of 2 files left)" in saved
    assert "Missing" not in saved
    for kind in ("json", "csv"):
        with page.page.expect_download() as download:
            page.page.click(f"#export-{kind}")
        assert download.value.suggested_filename == f"fetal-planes-unfinished.{kind}"
        text = Path(download.value.path()).read_text("utf-8")
        assert '"not_read": [' in text if kind == "json" else "not-read-yet" in text


def loop_with_a_damaged_first_frame() -> bytes:
    frames = [draw_frame("femur", height=240, width=320, seed=0)] * 4
    codes = iter([bytes(40), *(dicom_objects.jpeg(frame) for frame in frames[1:])])
    return dicom_objects.compressed(frames, dicom_objects.BASELINE, lambda _: next(codes), "MONOCHROME2")


def item_in_words_of_the_page(item: dict[str, Any]) -> dict[str, Any]:
    """Return an item of the service's report as the page exports it, with files by name."""

    def frames(key: str) -> list[dict[str, Any]]:
        named = [{"file": each["source"]["name"], "frame": each["source"]["frame"], **each} for each in item[key]]
        return [{key: value for key, value in each.items() if key != "source"} for each in named]

    return {**item, "frames": frames("frames"), "doubtful": frames("doubtful")}


@pytest.mark.parametrize("protocol", ["ours", "all-planes", "cervix"])
def test_the_page_and_the_service_sort_an_exam_alike(
    visit: Visits, drawn_model: Phantom, tmp_path: Path, protocol: str
) -> None:
    frames = [draw_frame(kind, seed=seed) for kind in ("brain", "abdomen") for seed in range(3)]
    files = {
        "damaged.dcm": loop_with_a_damaged_first_frame(),
        "a.png": png("brain"), "b.png": png("femur", 2), "loop.tiff": animation("TIFF", frames), "c.txt": b"text",
        "d.png": png(*UNSURE), "e.png": png("brain"), "f.png": png("thorax", 3),
    }  # fmt: skip
    protocols = write_protocol(tmp_path / "protocols")
    with serving(drawn_model.write(tmp_path / "model"), protocols=protocols, default_protocol=protocol) as address:
        report = httpx.post(f"{address}/exam", files=[("files", each) for each in files.items()], timeout=60).json()
        page = visit(address)
        page.add(*(upload(*each) for each in files.items()))
        open_exam(page)
        page.until("!document.querySelector('#exam .card.waiting')")
        page.settle()
        with page.page.expect_download() as download:
            page.page.click("#export-json")
        saved = json.loads(Path(download.value.path()).read_text("utf-8"))["exam"]
    for key in ("files", "files_left", "complete", "protocol"):
        assert saved[key] == report[key], key
    assert saved["items"] == [item_in_words_of_the_page(item) for item in report["items"]]
    for own, theirs in zip(saved["planes"], report["planes"], strict=True):
        assert own["plane"] == theirs["plane"]
        assert own["frames"] == [
            {
                "file": each["source"]["name"],
                "frame": each["source"]["frame"],
                "probability": each["probability"],
                "tied": each["tied"],
                "verdict": None,
            }
            for each in theirs["frames"]
        ]
    assert page.page.locator(".by-hand .tile").count() == len(report["review"]) + len(report["refused"])
    assert [each["source"]["name"] for each in report["refused"]] == ["damaged.dcm", "c.txt"]


SUB_PLANES = """name = "Sub-planes"
version = "1"
exam = "any"
source = { guideline = "None" }

[[items]]
sub_plane = "trans_thalamic"

[[items]]
sub_plane = "trans_cerebellum"

[[items]]
one_of = [{ sub_plane = "trans_ventricular" }, { sub_plane = "trans_thalamic" }]
min = 2
"""


@pytest.mark.parametrize("sure", [True, False])
def test_the_page_and_the_service_check_sub_planes_alike(visit: Visits, tmp_path: Path, *, sure: bool) -> None:
    (tmp_path / "protocols").mkdir()
    (tmp_path / "protocols" / "subs.toml").write_text(SUB_PLANES)
    phantom = sub_plane_phantom(min_probability=0.0 if sure else 1.0)
    files = {f"{seed}.png": encode(speckle(64, 64, seed)) for seed in range(6)}
    settings = {"protocols": tmp_path / "protocols", "default_protocol": "subs"}
    with serving(phantom.write(tmp_path / "model"), **settings) as address:
        report = httpx.post(f"{address}/exam", files=[("files", each) for each in files.items()], timeout=60).json()
        page = visit(address)
        page.add(*(upload(*each) for each in files.items()))
        open_exam(page)
        with page.page.expect_download() as download:
            page.page.click("#export-json")
        saved = json.loads(Path(download.value.path()).read_text("utf-8"))["exam"]
    assert saved["items"] == [item_in_words_of_the_page(item) for item in report["items"]]
    assert any(item["frames"] for item in saved["items"]) == sure
    assert any(item["doubtful"] for item in saved["items"]) or sure


def test_a_person_s_choice_is_kept_in_the_saved_report(visit: Visits) -> None:
    page = visit()
    same_pixels = encode(draw_frame("brain", seed=0), "BMP")
    page.add(upload("a.png", png("brain")), upload("b.bmp", same_pixels), upload("c.png", png("brain", 3)))
    open_exam(page)
    marks = page.page.locator("#exam .mark span")
    assert marks.all_inner_texts()[0] == "Most probable, tied"
    names = page.page.locator("#exam .group .tile-name")
    last = names.all_inner_texts()[-1]
    page.page.locator("#exam .mark button").last.click()
    assert page.focused().startswith("prefer-")
    assert (marks.all_inner_texts()[0], names.all_inner_texts()[0]) == ("Chosen by you", last)
    with page.page.expect_download() as download:
        page.page.click("#report")
    saved = Path(download.value.path()).read_text("utf-8")
    assert saved.count("Chosen by a person") == 1
    assert saved.index("Chosen by a person") < saved.index("Tied")
    page.page.click("text=Undo the choice")
    assert marks.all_inner_texts()[0] == "Most probable, tied"


def test_a_sub_plane_that_is_not_sure_has_its_own_group(visit: Visits, serve: Callable[[Phantom], str]) -> None:
    page = visit(serve(sub_plane_phantom()))
    close = iter((False, True))

    def change(route: "Route") -> None:
        reply = route.fetch()
        answer = reply.json()
        if next(close):
            answer |= {"sub_plane": None, "sub_plane_reason": "close"}
        route.fulfill(response=reply, json=answer)

    page.page.route("**/classify?*", change)
    page.add(upload("a.png", encode(speckle(64, 64))), upload("b.bmp", encode(speckle(64, 64), "BMP")))
    open_exam(page)
    titles = page.page.locator("#exam .group:not(.by-hand) h4")
    assert sorted(titles.all_inner_texts()) == ["Not sure which sub-plane · 1", "Trans thalamic · 1"]


@pytest.mark.parametrize("status", [401, 429, 504])
def test_a_frame_that_no_model_saw_is_not_read_yet(visit: Visits, status: int) -> None:
    page = visit()
    page.page.route("**/classify?*", lambda route: route.fulfill(status=status, body="a proxy's page"))
    page.add(upload("a.png", png("brain")))
    open_exam(page)
    assert page.text("#exam .card-title") == "Not read yet: 1 of 1 file left"
    page.page.unroute("**/classify?*")
    page.page.click("text=Read the file that is left")
    page.until("document.querySelector('#exam .card.abstained') !== null")


def test_a_loop_that_was_stopped_is_not_read_yet(visit: Visits) -> None:
    page = visit()
    held: list[Route] = []
    page.page.route("**/classify/batch?*", lambda route: held.append(route))
    page.add(upload("loop.tiff", animation("TIFF", [draw_frame("brain", seed=seed) for seed in range(5)])))
    open_exam(page)
    page.until("!document.querySelector('#stop').hidden && !document.querySelector('#progress').hidden")
    page.page.click("#stop")
    page.until("document.querySelector('#read-left') !== null")
    assert page.text("#exam .card-title") == "Not read yet: 1 of 1 file left"
    assert page.page.locator("#exam .group .tile").count() == 0
    page.page.unroute("**/classify/batch?*")
    page.page.click("#read-left")
    page.until("document.querySelector('#exam .card.abstained') !== null")
    assert page.page.locator("#exam .group .tile").count() == 1
