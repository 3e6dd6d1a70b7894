"""Many files at once: select, save and remove them; exams of several patients or folders; duplicates."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from service.sample.frames import draw_frame
from tests.support import dicom_objects
from tests.system.browser.axe import violations
from tests.system.browser.page_states import png
from tests.system.browser.visit import Visit, upload

Visits = Callable[..., Visit]


def saved(page: Visit, selector: str) -> tuple[str, str]:
    """Save by a button; return the file's name and its text."""
    with page.page.expect_download() as download:
        page.page.click(selector)
    return download.value.suggested_filename, Path(download.value.path()).read_text("utf-8-sig")


class TestSelection:
    @pytest.fixture
    def page(self, visit: Visits) -> Visit:
        page = visit()
        page.add(*(upload(f"{n}.png", png("brain", n)) for n in range(6)))
        return page

    def chosen(self, page: Visit) -> str:
        """Return the numbers of the selected files."""
        boxes = page.page.locator("#tiles input:checked")
        return "".join(boxes.evaluate_all("all => all.map((box) => box.ariaLabel.match(/\\d/)[0])"))

    def test_by_mouse(self, page: Visit) -> None:
        tile = page.page.locator("#tiles .tile")
        assert page.page.locator("#selection").is_hidden()
        tile.nth(1).click(modifiers=["Control"])
        tile.nth(3).click(modifiers=["Shift"])
        assert self.chosen(page) == "123"
        assert page.text("#selection-count") == "3 selected"
        assert page.text("#live") == "3 files selected."
        tile.nth(2).click(modifiers=["Control"])
        assert self.chosen(page) == "13"
        assert violations(page.page) == []
        page.page.click("#select-none")
        assert self.chosen(page) == ""
        assert page.page.locator("#selection").is_hidden()

    def test_by_keyboard(self, page: Visit) -> None:
        press = page.page.keyboard.press
        page.page.locator("#tiles .tile").first.focus()
        press("Space")
        press("ArrowDown")
        press("ArrowDown")
        press("Space")
        assert self.chosen(page) == "02"
        press("Shift+ArrowDown")
        assert self.chosen(page) == "023"
        press("Escape")
        assert self.chosen(page) == ""
        press("Control+a")
        assert self.chosen(page) == "012345"
        press("Delete")
        assert page.page.locator("#welcome").is_visible()
        press("Enter")  # the focus is on Undo
        assert len(page.tiles()) == 6

    def test_by_touch(self, visit: Visits) -> None:
        page = visit(viewport={"width": 390, "height": 844}, has_touch=True)
        page.add(*(upload(f"{n}.png", png("brain", n)) for n in range(3)))
        for box in page.page.locator(".tile-box").all()[:2]:
            box.tap()
        assert self.chosen(page) == "01"
        page.page.locator("#remove-selected").tap()
        assert [tile.split()[-1] for tile in page.tiles()] == ["2.png"]
        page.page.locator("#undo").tap()
        assert [tile.split()[-1] for tile in page.tiles()] == ["0.png", "1.png", "2.png"]

    def test_the_selected_files_are_saved(self, page: Visit) -> None:
        for place in (1, 4):
            page.page.locator(".tile-box").nth(place).click()
        name, text = saved(page, "#selection >> text=Save CSV")
        assert name == "fetal-planes-selected.csv"
        assert [row["file"] for row in csv.DictReader(io.StringIO(text))] == ["1.png", "4.png"]
        name, text = saved(page, "#selection >> text=Save JSON")
        assert [each["file"] for each in json.loads(text)["frames"]] == ["1.png", "4.png"]
        name, text = saved(page, "#selection >> text=Save the report")
        assert name == "exam-selected.html"
        assert ("1.png" in text, "2.png" in text, "4.png" in text) == (True, False, True)


class TestGroups:
    def dicom(self, patient: str, kind: str, seed: int) -> bytes:
        frame = draw_frame(kind, height=240, width=320, seed=seed)
        return dicom_objects.native([frame], PatientID=patient, PatientName=f"Name^{patient}")

    def test_several_patients_have_numbers_but_no_names(self, visit: Visits) -> None:
        page = visit()
        page.add(
            upload("a.dcm", self.dicom("P-4711", "brain", 0)),
            upload("b.dcm", self.dicom("P-4712", "femur", 0)),
            upload("c.dcm", self.dicom("P-4711", "abdomen", 0)),
        )
        page.page.click("#view-exam")
        assert page.text("#exam .card-title") == "Frames of 2 patients are mixed here"
        groups = page.page.locator(".groups label").all_inner_texts()
        assert groups[1].startswith("Patient 1 · 2 files · ")
        assert groups[2].startswith("Patient 2 · 1 file · ")
        assert violations(page.page) == []
        page.page.click("text=Patient 2")
        assert page.focused() == "group-2"
        assert page.page.locator("#exam .tile-name").all_inner_texts() == ["b.dcm"]
        assert "mixed" not in page.text("#exam")
        name, text = saved(page, "#report")
        assert name == "exam-part-2.html"
        assert ("b.dcm" in text, "a.dcm" in text) == (True, False)
        for secret in ("4711", "4712"):
            assert secret not in page.page.content()
            assert secret not in saved(page, "#export-json")[1]

    def test_one_patient_and_one_folder_are_not_grouped(self, visit: Visits) -> None:
        page = visit()
        page.add(*(upload(f"{seed}.dcm", self.dicom("P-1", "brain", seed)) for seed in range(2)))
        page.page.click("#view-exam")
        assert page.page.locator(".groups").count() == 0
        assert "patient" not in page.text("#exam").lower()

    def test_one_patient_per_folder_is_grouped_once(self, visit: Visits) -> None:
        page = visit()
        kinds = {"A": "brain", "B": "femur"}
        page.add(*(upload(f"{name}/1.dcm", self.dicom(name, kind, 0)) for name, kind in kinds.items()))
        page.page.click("#view-exam")
        labels = [text.split(" · ")[0] for text in page.page.locator(".groups label").all_inner_texts()]
        assert labels == ["All", "Patient 1", "Patient 2"]

    def test_folders_are_exams_of_their_own(self, visit: Visits, tmp_path: Path) -> None:
        for folder, kind in (("monday", "brain"), ("tuesday", "femur")):
            (tmp_path / folder).mkdir()
            (tmp_path / folder / "1.png").write_bytes(png(kind))
        page = visit()
        page.page.set_input_files("#folder", tmp_path)
        page.until("document.querySelectorAll('#exam .group .tile').length === 2")
        page.settle()
        page.page.click("text=Folder tuesday")
        (name,) = page.page.locator("#exam .tile-name").all_inner_texts()
        assert name.endswith("tuesday/1.png")


class TestDuplicates:
    def test_they_are_marked_and_count_once(self, visit: Visits) -> None:
        page = visit()
        page.add(upload("a.png", png("brain")), upload("copy.png", png("brain")), upload("b.png", png("femur")))
        page.until("document.querySelectorAll('.tile-note:not(:empty)').length === 1")
        assert page.tiles()[1].split(" % ")[1] == "Same as a.png copy.png"
        page.page.click("#view-exam")
        brain = page.page.locator(".group:has(.shelf)", has_text="Fetal brain").first
        assert brain.locator(".tile-name").all_inner_texts() == ["a.png"]
        assert "Same as a.png" in page.text(".duplicates")
        (row,) = [
            row for row in csv.DictReader(io.StringIO(saved(page, "#export-csv")[1])) if row["duplicate_of"] == "a.png"
        ]
        assert row["file"] == "copy.png"
        page.page.click("#view-frames")
        page.page.locator("#tiles .tile").first.press("Delete")  # the copy is the only one now
        page.until("document.querySelectorAll('.tile-note:not(:empty)').length === 0")

    def test_files_of_one_size_that_differ_in_the_middle_are_no_duplicates(self, visit: Visits) -> None:
        page = visit()
        first = dicom_objects.native([draw_frame("brain")])
        middle = len(first) // 2
        other = first[:middle] + bytes([first[middle] ^ 1]) + first[middle + 1 :]
        page.add(upload("a.dcm", first), upload("b.dcm", other), upload("c.dcm", other))
        page.until("document.querySelectorAll('.tile-note:not(:empty)').length === 1")
        assert page.tiles()[2].endswith("Same as b.dcm c.dcm")
