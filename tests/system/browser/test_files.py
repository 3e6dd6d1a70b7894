"""Files in and out: drop, paste, folders, export, and what never leaves the browser."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from service.sample.examples import EXAMPLES
from service.sample.frames import draw_frame
from tests.support.images import encode
from tests.support.videos import LOSSLESS, write_video
from tests.support.zips import zip_of
from tests.system.browser.page_states import png
from tests.system.browser.visit import Visit, upload

Visits = Callable[..., Visit]


class TestAddingFiles:
    def test_drop(self, visit: Visits) -> None:
        page = visit()
        files = [upload("a.png", png("brain")), upload("b.png", png("femur"))]
        page.drop(files, "dragenter")
        assert page.page.locator("#drop-here").is_visible()
        page.drop(files)
        page.page.locator(".tile").nth(1).wait_for()
        page.settle()
        assert page.page.locator("#drop-here").is_hidden()
        assert [tile.split()[-1] for tile in page.tiles()] == ["a.png", "b.png"]

    def test_paste(self, visit: Visits) -> None:
        page = visit()
        page.drop([upload("image.png", png("brain"))], "paste")
        page.drop([upload("image.png", png("femur"))], "paste")
        page.page.locator(".tile").nth(1).wait_for()
        page.settle()
        assert [tile.split(" % ")[1] for tile in page.tiles()] == ["Pasted 1", "Pasted 2"]

    def test_an_example(self, visit: Visits) -> None:
        page = visit()
        page.page.click("text=Try an example")
        page.page.locator(".tile").nth(len(EXAMPLES) - 1).wait_for()
        page.settle()
        assert all(any(f"example/{name}" in tile for tile in page.tiles()) for name in EXAMPLES)

    def test_a_folder(self, visit: Visits, tmp_path: Path) -> None:
        for name in ("10.png", "9.png", ".hidden.png", "Thumbs.db"):
            (tmp_path / name).write_bytes(png("brain"))
        page = visit()
        page.page.set_input_files("#folder", tmp_path)
        page.until("document.querySelectorAll('#tiles .tile').length === 2")
        page.settle()
        assert page.page.locator("#exam").is_visible()  # not on its first file, which may be broken
        assert [tile.rsplit("/", 1)[1] for tile in page.tiles()] == ["9.png", "10.png"]

    def test_an_archive_is_read_like_a_folder(self, visit: Visits) -> None:
        files = [("DICOM/10.png", png("brain")), ("DICOM/9.png", png("femur")), ("__MACOSX/9.png", b"x"), ("a/", b"")]
        page = visit()
        page.page.set_input_files("#files", [upload("study.zip", zip_of(files))])
        page.until("document.querySelectorAll('#tiles .tile').length === 2")
        page.settle()
        assert [tile.split()[-1] for tile in page.tiles()] == ["study.zip/DICOM/9.png", "study.zip/DICOM/10.png"]

    def test_a_damaged_archive_is_refused_by_name(self, visit: Visits) -> None:
        page = visit()
        page.add(upload("study.zip", zip_of([("a.png", png("brain"))])[:-30]))
        assert "a ZIP archive" in page.text("main")

    def test_a_video_is_a_loop(self, visit: Visits) -> None:
        shots = [draw_frame(kind, height=240, width=320, seed=1) for kind in ("brain", "femur")]
        frames = [shot for shot in shots for _ in range(4)]
        page = visit()
        page.add(upload("loop.avi", write_video(frames, "avi", 10, LOSSLESS)))
        page.page.click("text=Classify every frame")
        page.until("document.querySelector('#cine').textContent.includes(' at 0.')")
        page.settle()
        assert "Frames 1 to 4: Fetal brain." in page.text("#cine")


class TestExport:
    NAMES = ("=cmd|' /C calc'!A0.png", "+1.png", "-1.png", "@SUM(A1).png", 'a "b", c.png', "fötus.png")

    @pytest.fixture
    def page(self, visit: Visits) -> Visit:
        page = visit()
        page.add(*(upload(name, png("brain")) for name in self.NAMES), upload("=bad.txt", b"x"))
        return page

    def saved(self, page: Visit, kind: str) -> str:
        with page.page.expect_download() as download:
            page.page.click(f"#export-{kind}")
        assert download.value.suggested_filename == f"fetal-planes.{kind}"
        return Path(download.value.path()).read_text("utf-8")

    def test_csv_contains_no_formula(self, page: Visit) -> None:
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

    def test_json_contains_the_replies(self, page: Visit) -> None:
        saved = json.loads(self.saved(page, "json"))
        assert [each["file"] for each in saved["frames"]] == [*self.NAMES, "=bad.txt"]
        first = saved["frames"][0]
        assert (first["predictions"][0]["plane"], first["frame"]["count"]) == ("fetal_brain", 1)
        assert first["model"]["sha256"]
        assert saved["frames"][-1]["problem"]["code"] == "unsupported-format"


def test_file_names_are_not_sent_and_nothing_is_stored(visit: Visits) -> None:
    name = "Jane-Doe-1990.png"
    page = visit()
    page.add(upload(name, png("brain")), upload("Jane-Doe.tif", encode(draw_frame("femur", seed=0), "TIFF")))
    for request in page.requests:
        sent = f"{request.url} {request.all_headers()}".encode() + (request.post_data_buffer or b"")
        assert b"Doe" not in sent
    assert {request.method for request in page.requests if "classify" in request.url} == {"POST"}
    kept = page.page.evaluate(
        "async () => [localStorage.length, sessionStorage.length, document.cookie,"
        " (await indexedDB.databases()).length, (await caches.keys()).length]"
    )
    assert kept == [0, 0, "", 0, 0]
