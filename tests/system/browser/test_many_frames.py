"""Many frames at once: batches, refusals, a busy or absent service, the exam, and what may leave the browser."""

import csv
import io
import json
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest

from service.api_keys import new_key
from tests.support.dicom_objects import native
from tests.support.drawn_frames import scan
from tests.support.images import animation, encode
from tests.support.phantom_package import Phantom
from tests.support.server_thread import serving
from tests.system.browser.visit import Upload, Visit, upload

if TYPE_CHECKING:
    from playwright.sync_api import Route

Visits = Callable[..., Visit]

PROBLEM = {
    "type": "/problems/overloaded", "title": "Overloaded", "status": 503, "detail": "Too many frames wait.",
    "code": "overloaded", "request_id": "r1",
}  # fmt: skip


def small(kind: str, seed: int = 0) -> bytes:
    return encode(scan(kind, seed=seed))


def refuse(route: "Route", retry_after: str = "1") -> None:
    headers = {"content-type": "application/problem+json", "retry-after": retry_after}
    route.fulfill(status=503, headers=headers, body=json.dumps(PROBLEM))


class TestABatchOfFifty:
    @pytest.fixture
    def fifty(self) -> list[Upload]:
        kinds = ["head", "belly", "femur", "chest", "neck"]
        frames = {kind: [small(kind, seed) for seed in range(2)] for kind in kinds}
        return [upload(f"frame_{n:02}.png", frames[kinds[n % 5]][n % 2]) for n in range(50)]

    def test_all_are_answered_in_order_few_at_a_time(self, visit: Visits, fifty: list[Upload]) -> None:
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
        assert page.page.locator(".thumb").evaluate_all("all => all.filter((one) => one.drawn).length") == 50
        page.until("document.querySelector('#live').textContent.startsWith('50 frames done: ')")

    def test_progress_is_told_and_can_be_stopped(self, visit: Visits, fifty: list[Upload]) -> None:
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
        assert page.text("#live") == "Reading 50 frames."
        page.page.click("#stop")
        released.set()
        for route in held:
            route.continue_()
        page.settle()
        assert len(served) <= 14
        assert sum(tile.startswith("Stopped") for tile in page.tiles()) == 50 - len(served)
        page.page.locator(".tile").last.click()
        page.page.click("text=Try again")
        page.settle()
        assert page.tiles()[-1].startswith("Maternal cervix")


def test_one_bad_file_costs_itself_alone(visit: Visits) -> None:
    page = visit()
    page.add(upload("a.png", small("head")), upload("b.txt", b"hello"), upload("c.png", small("femur")[:900]))
    page.add(upload("d.png", small("femur")))
    tiles = page.tiles()
    assert tiles[0].startswith("Fetal brain")
    assert tiles[1] == "Unsupported format b.txt"
    assert tiles[2] == "Unreadable frame c.png"
    assert tiles[3].startswith("Fetal femur")
    page.page.locator(".tile").nth(1).click()
    page.settle()
    assert page.text("#verdict").startswith("! Unsupported format The bytes are not PNG")
    assert "unsupported-format" in page.text("#details")
    assert page.text("#no-picture") == "No picture can be had from this file."
    assert page.page.locator("#planes").is_hidden()
    assert page.page.locator("text=Try again").count() == 0


@pytest.mark.parametrize("retry_after", ["1", "Thu, 01 Jan 1970 00:00:00 GMT"])
def test_a_busy_service_is_given_the_time_it_asks_for(visit: Visits, retry_after: str) -> None:
    page = visit()
    asked = []

    def busy(route: "Route") -> None:
        asked.append(1)
        if len(asked) <= 3:
            refuse(route, retry_after)
        else:
            route.continue_()

    page.page.route("**/classify?*", busy)
    page.add(*(upload(f"{n}.png", small("head")) for n in range(4)), settle=False)
    if retry_after == "1":
        page.until("document.querySelector('#progress-text').textContent.startsWith('The service is busy')")
        assert page.text("#live").startswith("The service is busy.")
        assert len(asked) <= 4  # while it is, nobody asks
    page.settle()
    assert all(tile.startswith("Fetal brain") for tile in page.tiles())
    assert len(asked) == 7


def test_a_service_that_truly_is_overloaded_answers_all_in_the_end(
    visit: Visits, artist: Phantom, tmp_path: Path
) -> None:
    with serving(artist.write(tmp_path), workers=1, max_requests=1) as address:
        page = visit(address)
        url = urlsplit(address)
        with socket.create_connection((url.hostname, url.port)) as slow:  # has the one place for as long as it is open
            slow.sendall(b"POST /classify HTTP/1.1\r\nHost: slow\r\nContent-Length: 1000\r\n\r\n.")
            while '"requests":1' not in urlopen(f"{address}/health").read().decode().replace(" ", ""):
                time.sleep(0.05)
            with page.page.expect_response(lambda reply: reply.status == 503):
                page.add(*(upload(f"{n}.png", small("head")) for n in range(8)), settle=False)
        page.settle()
        assert len(page.tiles()) == 8
        assert all(tile.startswith("Fetal brain") for tile in page.tiles())


def test_a_service_that_is_gone_is_said_and_can_be_tried_again(visit: Visits) -> None:
    page = visit()
    page.until("document.querySelector('#formats').textContent")
    page.page.route("**/classify?*", lambda route: route.abort())
    page.add(upload("a.png", small("head")))
    assert page.text("#verdict").startswith("! No connection The service cannot be reached.")
    page.page.unroute("**/classify?*")
    page.page.click("text=Try again")
    page.settle()
    assert "Fetal brain" in page.text("#verdict")


def test_a_page_opened_before_the_service_is_ready_waits_for_it(visit: Visits, address: str) -> None:
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
    page.add(upload("a.png", small("head")), settle=False)
    page.until("document.querySelector('#verdict').textContent.includes('Fetal brain')")
    assert page.text("#model").startswith("phantom 1.2.3")


def test_a_service_that_asks_for_a_key(visit: Visits, artist: Phantom, tmp_path: Path) -> None:
    key, line = new_key("ward")
    (tmp_path / "keys").write_text(line + "\n")
    with serving(artist.write(tmp_path / "model"), api_keys=tmp_path / "keys") as address:
        page = visit(address)
        page.page.locator("#key").fill("wrong")
        page.page.keyboard.press("Enter")
        page.until("document.querySelector('#key-problem').textContent === 'This key is not known here.'")
        page.page.locator("#key").fill(key)
        page.page.keyboard.press("Enter")
        page.until("document.querySelector('#formats').textContent")
        assert page.page.locator("#key-form").is_hidden()
        page.add(upload("head.tif", encode(scan("head"), "TIFF")))
        assert "Fetal brain" in page.text("#verdict")
        assert page.page.evaluate("document.querySelector('.thumb').drawn !== undefined")


class TestTheExam:
    def test_it_expects_what_the_service_is_set_to(self, visit: Visits, artist: Phantom, tmp_path: Path) -> None:
        with serving(artist.write(tmp_path), expected_planes="fetal_femur,no_plane_of_the_model") as address:
            page = visit(address)
            page.add(upload("a.png", small("head")))
            page.page.click("#view-exam")
            assert page.text("#exam .card-title") == "Missing: Fetal femur"
            assert page.page.locator(".expected input:checked").count() == 1

    def test_it_names_what_is_missing(self, visit: Visits) -> None:
        page = visit()
        names = {"head": 2, "belly": 1, "femur": 1}
        page.add(*(upload(f"{kind}{n}.png", small(kind, n)) for kind, count in names.items() for n in range(count)))
        page.page.click("#view-exam")
        assert page.text("#exam .card-title") == "Missing: Fetal thorax, Maternal cervix"
        groups = {group.split("\n")[0].split(" ")[1]: group for group in page.page.locator(".group").all_inner_texts()}
        assert groups["brain"].count(".png") == 2
        assert "Missing" in groups["thorax"]
        page.page.uncheck("#expect-fetal_thorax")
        assert page.text("#exam .card-title") == "Missing: Maternal cervix"
        page.page.uncheck("#expect-maternal_cervix")
        assert page.text("#exam .card-title") == "Every expected plane is there"
        assert page.focused() == "expect-maternal_cervix"

    def test_the_best_of_a_plane_comes_first_and_opens(self, visit: Visits) -> None:
        page = visit()
        page.add(*(upload(f"head{seed}.png", small("head", seed)) for seed in range(4)))
        page.page.click("#view-exam")
        shelf = page.page.locator(".group", has_text="Fetal brain").first.locator(".tile")
        figures = [
            float(text)
            for text in shelf.locator(".tile-figure").evaluate_all(
                "all => all.map((e) => parseFloat(e.textContent.replace('>', '')))"
            )
        ]
        assert figures == sorted(figures, reverse=True)
        name = shelf.first.locator(".tile-name").inner_text()
        assert shelf.first.inner_text().startswith("Best")
        shelf.first.click()
        assert page.text("#stage-title") == name

    def test_frames_for_a_person_are_set_apart(self, visit: Visits) -> None:
        page = visit()
        page.add(
            upload("a.png", small("head")), upload("unsure.png", encode(scan("head", seed=77))), upload("b.txt", b"x")
        )
        page.page.click("#view-exam")
        by_hand = page.text(".by-hand")
        assert "The model is not sure · 1 frame" in by_hand
        assert "unsure.png" in by_hand
        assert "Not read · 1 frame" in by_hand
        assert "a.png" not in by_hand

    def test_it_is_saved_as_a_page_with_names_that_never_left(self, visit: Visits) -> None:
        names = ["Jane <Doe> & co.png", "second.png"]
        page = visit()
        page.add(upload(names[0], small("head")), upload(names[1], small("belly")))
        page.page.click("#view-exam")
        page.page.uncheck("#expect-fetal_thorax")
        with page.page.expect_download() as download:
            page.page.click("#report")
        assert download.value.suggested_filename == "exam.html"
        saved = Path(download.value.path()).read_text("utf-8")
        assert "Jane &lt;Doe&gt; &amp; co.png" in saved
        assert names[1] in saved
        assert "Missing: Fetal femur, Maternal cervix" in saved
        assert saved.count("Its evidence") == 2
        (asked,) = [request for request in page.requests if "/exam?" in request.url]
        assert b"Doe" not in (asked.post_data_buffer or b"")
        assert page.text("#exam [role=status]") == "Saved."

    def test_a_report_that_is_refused_says_why(self, visit: Visits, artist: Phantom, tmp_path: Path) -> None:
        with serving(artist.write(tmp_path), max_batch_bytes=2048) as address:
            page = visit(address)
            page.add(upload("a.png", small("head")))
            page.page.click("#view-exam")
            page.page.click("#report")
            page.until("document.querySelector('#exam [role=status]').textContent.includes('limit of 2048 bytes')")
            assert page.page.is_enabled("#report")

    def test_a_loop_gives_the_best_frame_of_each_plane(self, visit: Visits) -> None:
        frames = [scan(kind, seed=seed) for kind in ("head", "belly") for seed in range(2)]
        page = visit()
        page.add(upload("loop.tiff", animation("TIFF", frames)))
        page.page.click("text=Read every frame")
        page.settle()
        page.page.click("#view-exam")
        assert page.page.locator(".group .tile").count() == 2
        assert page.text("#exam .card-title") == "Missing: Fetal femur, Fetal thorax, Maternal cervix"


class TestALoopReadInOneGo:
    def line(self, index: int) -> dict[str, object]:
        frame = {"format": "tiff", "width": 560, "height": 420, "index": index, "count": 3, "crop": [0, 0, 560, 404]}
        predictions = [{"plane": "fetal_femur", "label": "Fetal femur", "probability": 0.9}]
        model = {"name": "m", "version": "1", "sha256": "0" * 64}
        answer = {"predictions": predictions, "abstain": False, "abstain_reason": None, "frame": frame, "model": model}
        return answer | {"request_id": "r", "source": {"file": 0, "name": None, "frame": index}}

    def read(self, visit: Visits, body: str) -> Visit:
        page = visit()
        page.add(upload("loop.tiff", animation("TIFF", [scan("head", seed=seed) for seed in range(3)])))
        page.page.route("**/classify/batch?*", lambda route: route.fulfill(body=body))
        page.page.click("text=Read every frame")
        page.settle()
        page.slide("#scrubber", 2)
        page.until("document.querySelector('.tile-name').textContent === 'loop.tiff · 3/3'")
        page.settle()
        return page

    def test_a_damaged_frame_costs_itself_alone(self, visit: Visits) -> None:
        problem = {"title": "Unreadable frame", "detail": "It is damaged.", "code": "unreadable-frame", "status": 422}
        lines = [self.line(0), self.line(1), problem | {"source": {"file": 0, "name": None, "frame": 2}}]
        page = self.read(visit, "".join(json.dumps(line) + "\n" for line in lines))
        assert page.text("#verdict") == "! Unreadable frame It is damaged."
        page.page.click("[aria-label='Previous frame']")
        page.until("document.querySelector('.tile-name').textContent === 'loop.tiff · 2/3'")
        assert "Fetal femur" in page.text("#verdict")

    def test_a_reply_that_breaks_off_is_said_and_can_be_tried_again(self, visit: Visits) -> None:
        page = self.read(visit, json.dumps(self.line(1)) + "\n" + '{"predictions"')
        assert page.text("#verdict").startswith("! Not read")
        page.page.click("text=Try again")
        page.settle()
        assert "Fetal brain" in page.text("#verdict")


def test_the_pictures_of_a_loop_come_several_to_an_upload(visit: Visits) -> None:
    frames = [scan("head", height=120, width=160, seed=seed) for seed in range(12)]
    page = visit()
    page.add(upload("loop.tiff", animation("TIFF", frames)))
    for index in range(1, 12):
        page.slide("#scrubber", index)
        page.until(f"document.querySelector('.tile-name').textContent === 'loop.tiff · {index + 1}/12'")
        page.settle()
        shown = page.picture().max(2)
        assert shown.shape == (120, 160)
    assert sum("/frame?" in request.url for request in page.requests) <= 3


def test_a_dicom_cine_is_read_and_shown(visit: Visits) -> None:
    frames = [scan(kind, height=120, width=160, seed=0) for kind in ("head", "head", "femur")]
    page = visit()
    page.add(upload("IM_0001", native(frames)))
    assert "DICOM · 3 frames" in page.text("#stage-size")
    page.slide("#opacity", 0)
    page.slide("#scrubber", 2)
    page.until("document.querySelector('.tile-name').textContent === 'IM_0001 · 3/3'")
    page.settle()
    assert abs(page.picture()[..., 0].astype(int) - frames[2]).mean() < 3


class TestWaysIn:
    def test_drop(self, visit: Visits) -> None:
        page = visit()
        files = [upload("a.png", small("head")), upload("b.png", small("femur"))]
        page.drop(files, "dragenter")
        assert page.page.locator("#drop-here").is_visible()
        page.drop(files)
        page.page.locator(".tile").nth(1).wait_for()
        page.settle()
        assert page.page.locator("#drop-here").is_hidden()
        assert [tile.split()[-1] for tile in page.tiles()] == ["a.png", "b.png"]

    def test_paste(self, visit: Visits) -> None:
        page = visit()
        page.drop([upload("image.png", small("head"))], "paste")
        page.drop([upload("image.png", small("femur"))], "paste")
        page.page.locator(".tile").nth(1).wait_for()
        page.settle()
        assert [tile.split(" % ")[1] for tile in page.tiles()] == ["Pasted 1", "Pasted 2"]

    def test_a_folder(self, visit: Visits, tmp_path: Path) -> None:
        for name in ("10.png", "9.png", ".hidden.png", "Thumbs.db"):
            (tmp_path / name).write_bytes(small("head"))
        page = visit()
        page.page.set_input_files("#folder", tmp_path)
        page.page.locator(".tile").nth(1).wait_for()
        page.settle()
        assert [tile.rsplit("/", 1)[1] for tile in page.tiles()] == ["9.png", "10.png"]


class TestExport:
    NAMES = ("=cmd|' /C calc'!A0.png", "+1.png", "-1.png", "@SUM(A1).png", 'a "b", c.png', "fötus.png")

    @pytest.fixture
    def page(self, visit: Visits) -> Visit:
        page = visit()
        page.add(*(upload(name, small("head")) for name in self.NAMES), upload("=bad.txt", b"x"))
        return page

    def saved(self, page: Visit, kind: str) -> str:
        with page.page.expect_download() as download:
            page.page.click(f"#export-{kind}")
        assert download.value.suggested_filename == f"fetal-planes.{kind}"
        return Path(download.value.path()).read_text("utf-8")

    def test_csv_holds_no_formula(self, page: Visit) -> None:
        text = self.saved(page, "csv")
        assert text.startswith("\ufeff")
        rows = list(csv.DictReader(io.StringIO(text[1:], newline="")))
        assert [row["file"].removeprefix("'") for row in rows] == [*self.NAMES, "=bad.txt"]
        assert not [cell for row in rows for cell in row.values() if cell[:1] in ("=", "+", "-", "@", "\t", "\r")]
        assert [row["plane"] for row in rows] == ["fetal_brain"] * 6 + [""]
        assert rows[-1]["problem"] == "unsupported-format"
        assert sum(float(value) for name, value in rows[0].items() if name.startswith("p_")) == pytest.approx(
            1, abs=1e-4
        )

    def test_json_holds_the_replies(self, page: Visit) -> None:
        saved = json.loads(self.saved(page, "json"))
        assert [each["file"] for each in saved["frames"]] == [*self.NAMES, "=bad.txt"]
        first = saved["frames"][0]
        assert (first["predictions"][0]["plane"], first["frame"]["count"]) == ("fetal_brain", 1)
        assert first["model"]["sha256"]
        assert saved["frames"][-1]["problem"]["code"] == "unsupported-format"


def test_names_and_frames_stay_where_they_are(visit: Visits) -> None:
    name = "Jane-Doe-1990.png"
    page = visit()
    page.add(upload(name, small("head")), upload("Jane-Doe.tif", encode(scan("femur", seed=0), "TIFF")))
    for request in page.requests:
        sent = f"{request.url} {request.all_headers()}".encode() + (request.post_data_buffer or b"")
        assert b"Doe" not in sent
    assert {request.method for request in page.requests if "classify" in request.url} == {"POST"}
    kept = page.page.evaluate(
        "async () => [localStorage.length, sessionStorage.length, document.cookie,"
        " (await indexedDB.databases()).length, (await caches.keys()).length]"
    )
    assert kept == [0, 0, "", 0, 0]


def test_removing_frames(visit: Visits) -> None:
    page = visit()
    page.add(*(upload(f"{n}.png", small("head", n)) for n in range(3)))
    page.page.click("#remove")
    assert [tile.split()[-1] for tile in page.tiles()] == ["1.png", "2.png"]
    assert page.text("#stage-title") == "1.png"
    page.page.click("#clear")
    assert page.page.locator("#welcome").is_visible()
    assert page.page.locator("#export").is_hidden()
    page.add(upload("again.png", small("femur")))
    assert "Fetal femur" in page.text("#verdict")
