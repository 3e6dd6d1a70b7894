"""Reviewed frames are saved as a data set that the build stage reads as it is."""

import csv
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from model_build.cli import main
from model_build.data.formats import read_data
from model_build.data.frames import open_frames
from model_build.data.records import Record
from service.imaging.decode import decode_frame
from service.sample.frames import draw_frame
from tests.support import dicom_objects
from tests.support.images import animation, encode
from tests.system.browser.page_states import png
from tests.system.browser.reviews import export_corrections, press, save_reviewed, shows, tile_of
from tests.system.browser.visit import Visit, upload

Visits = Callable[..., Visit]

KINDS = ("abdomen", "brain", "femur", "thorax")  # in the order of their keys


def frame(kind: str, seed: int) -> bytes:
    return encode(draw_frame(kind, height=240, width=320, seed=seed))


def dicom(patient: str, kind: str, seed: int) -> bytes:
    pixels = draw_frame(kind, height=240, width=320, seed=seed)
    return dicom_objects.native(
        [pixels], PatientID=patient, PatientName=f"Name^{patient}", ManufacturerModelName="Voluson E10"
    )


def rows_of(folder: Path) -> dict[str, dict[str, str]]:
    """Return the rows of the table by the names of their files."""
    with (folder / "labels.csv").open(encoding="utf-8-sig", newline="") as file:
        return {row["name"]: row for row in csv.DictReader(file)}


@pytest.fixture(scope="module")
def many() -> dict[str, bytes]:
    """Return three frames of each of twelve patients, in folders of their own."""
    return {f"exams/patient {number:02}/{kind}.png": frame(kind, number) for number in range(12) for kind in KINDS[:3]}


def test_the_build_stage_reads_and_checks_what_the_page_saves(
    visit: Visits, many: dict[str, bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = {name: str(KINDS.index(Path(name).stem) + 1) for name in many}
    wrong = "exams/patient 03/femur.png"
    folder = export_corrections(visit(), many, said | {wrong: "2"}, tmp_path)
    data = read_data(folder)
    assert len(data.records) == len(many)
    assert data.patients_known
    assert {record.patient for record in data.records} == {f"folder-patient {number:02}" for number in range(12)}
    assert [plane.id for plane in data.planes] == ["fetal_abdomen", "fetal_brain", "fetal_femur"]
    names = {row["path"]: name for name, row in rows_of(folder).items()}
    for record, pixels in zip(data.records, open_frames(data.records, None)(data.records), strict=True):
        name = names[record.path.relative_to(folder).as_posix()]
        assert np.array_equal(pixels, decode_frame(many[name]).pixels)
        wanted = "fetal_brain" if name == wrong else f"fetal_{Path(name).stem}"
        assert data.planes[record.plane].id == wanted
    main(["check", str(folder)])
    assert "no leakage: the splits share no patient and no picture" in capsys.readouterr().out


def test_patients_come_from_the_file_then_from_the_folder(visit: Visits, tmp_path: Path) -> None:
    files = {
        "a/1.dcm": dicom("P-4711", "brain", 0),
        "a/2.png": frame("femur", 1),  # of the only patient of its folder
        "b/1.dcm": dicom("P-4711", "abdomen", 2),
        "b/2.dcm": dicom("P-4712", "thorax", 3),
        "b/3.png": frame("femur", 4),  # its patient is not known
        "c/still/1.png": frame("brain", 5),
        "c/loop/1.png": frame("brain", 6),
        "loose.png": frame("abdomen", 7),
    }
    folder = export_corrections(visit(), files, dict.fromkeys(files, "y"), tmp_path)
    rows = rows_of(folder)
    patient = {name: row["patient"] for name, row in rows.items()}
    assert patient["a/1.dcm"] == patient["a/2.png"] == patient["b/1.dcm"] != patient["b/2.dcm"]
    assert patient["a/1.dcm"].startswith("patient-")
    assert patient["b/3.png"] == "folder-b"
    assert patient["c/still/1.png"] == patient["c/loop/1.png"] == "folder-c"
    assert patient["loose.png"].startswith("exam-")
    assert [rows[name]["machine"] for name in ("a/1.dcm", "a/2.png")] == ["Voluson E10", ""]
    assert {record.scanner for record in read_data_of(folder)} == {"Voluson E10", "unknown"}
    assert "4711" not in (folder / "labels.csv").read_text("utf-8-sig")
    assert (folder / rows["a/1.dcm"]["path"]).read_bytes() == files["a/1.dcm"]


def read_data_of(folder: Path) -> list[Record]:
    """Return the records, with a split: there are too few patients to make one."""
    table = folder / "labels.csv"
    head, *lines = table.read_text("utf-8-sig").splitlines()
    table.write_text("\n".join([f"{head},split", *(f"{line},train" for line in lines)]), "utf-8")
    return list(read_data(folder).records)


def test_names_of_any_kind_and_repeated_ones_are_saved(visit: Visits, tmp_path: Path) -> None:
    names = ['=HYPERLINK("http://x","y").png', "a,b;c\"d'.PNG", "脑.png", "../up.png", "no ending", "same.png"]
    page = visit()
    page.add(*(upload(name, frame(KINDS[number % 4], number)) for number, name in enumerate(names)))
    page.add(upload("same.png", frame("thorax", 9)))
    for number, name in enumerate([*names, "same.png"]):
        shows(page, name)
        page.page.keyboard.press("y")
        page.until(f"document.querySelector('#review-count').textContent.startsWith('{number + 1} frame')")
    folder = save_reviewed(page, tmp_path)
    with (folder / "labels.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["path"] for row in rows] == [
        "frames/0001.png", "frames/0002.png", "frames/0003.png", "frames/0004.png", "frames/0005", "frames/0006.png",
        "frames/0007.png",
    ]  # fmt: skip
    assert [row["name"] for row in rows] == [f"'{names[0]}", *names[1:], "same.png"]
    assert len(read_data_of(folder)) == 7
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dataset.toml", "frames", "labels.csv"]


def test_frames_of_a_loop_are_saved_as_pictures_and_equal_files_once(visit: Visits, tmp_path: Path) -> None:
    shown = [draw_frame(kind, seed=seed) for kind in ("brain", "femur") for seed in range(3)]
    page = visit()
    page.add(
        upload("loop.tiff", animation("TIFF", shown)), upload("a.png", png("brain")), upload("copy.png", png("brain"))
    )
    page.until("document.querySelectorAll('.tile-note:not(:empty)').length === 1")
    page.page.click("text=Classify every frame")
    page.settle()
    page.page.focus("#scrubber")
    page.page.keyboard.press("End")
    page.until("document.querySelector('output[for=scrubber]').textContent === '6 / 6'")
    page.settle()
    page.page.locator("#review").get_by_role("button", name="Fetal femur").click()
    page.until("document.querySelector('#review-count').textContent === '1 frame reviewed.'")
    page.page.evaluate(f"{tile_of('copy.png')}.click()")
    press(page, "x", "copy.png")
    page.page.evaluate(f"{tile_of('a.png')}.click()")
    press(page, "2", "a.png")
    page.until(f"{tile_of('copy.png')}.dataset.verdict === 'accepted'")
    rows = rows_of(save_reviewed(page, tmp_path))
    assert {name: row["frame"] for name, row in rows.items()} == {"loop.tiff": "5", "a.png": ""}
    pixels = decode_frame((tmp_path / rows["loop.tiff"]["path"]).read_bytes()).pixels
    assert np.array_equal(pixels, shown[5])


def test_frames_without_a_plane_have_no_label(visit: Visits, tmp_path: Path) -> None:
    page = visit()
    page.add(upload("a.png", png("brain", 1)), upload("b.png", png("femur", 1)))
    press(page, "x", "a.png")
    page.page.click("#review-zip")
    page.until("document.querySelector('#review-saved').textContent.startsWith('None of them shows a plane')")
    press(page, "y", "b.png")
    assert list(rows_of(save_reviewed(page, tmp_path))) == ["b.png"]
    assert page.text("#review-saved") == "1 frame saved. 1 frame without a plane left out."


def test_the_selected_files_alone_are_saved(visit: Visits, tmp_path: Path) -> None:
    page = visit()
    page.add(*(upload(f"{seed}.png", png("brain", seed)) for seed in range(3)))
    for seed in range(3):
        press(page, "y", f"{seed}.png")
    page.page.locator(".tile-box").nth(1).click()
    with page.page.expect_download() as download:
        page.page.click("text=Save the reviewed ones")
    assert download.value.suggested_filename == "fetal-planes-reviewed-selected.zip"
    with zipfile.ZipFile(download.value.path()) as archive:
        assert archive.namelist() == ["frames/0001.png", "labels.csv", "dataset.toml"]


def test_a_folder_is_written_and_nothing_overwritten(visit: Visits) -> None:
    page = visit()
    # The browser's own dialog cannot be driven; the private folder of the page's origin has the same interface.
    page.page.evaluate("window.showDirectoryPicker = () => navigator.storage.getDirectory()")
    page.add(upload("a.png", png("brain", 1)))
    press(page, "y", "a.png")
    for name in ("fetal-planes-reviewed", "fetal-planes-reviewed-2"):
        page.page.click("#review-folder")
        page.until(f"document.querySelector('#review-saved').textContent === '1 frame saved in {name}.'")
        found = page.page.evaluate(
            """async (name) => {
              const folder = await (await navigator.storage.getDirectory()).getDirectoryHandle(name);
              const frames = await folder.getDirectoryHandle("frames");
              const file = await (await frames.getFileHandle("0001.png")).getFile();
              return [await (await (await folder.getFileHandle("labels.csv")).getFile()).text(), file.size];
            }""",
            name,
        )
        assert "frames/0001.png,Fetal brain,exam-" in found[0]
        assert found[1] == len(png("brain", 1))


def test_a_frame_that_cannot_be_read_again_is_named(visit: Visits) -> None:
    page = visit()
    page.add(upload("loop.tiff", animation("TIFF", [draw_frame("brain", seed=seed) for seed in range(3)])))
    page.page.click("text=Classify every frame")
    page.settle()
    page.page.locator("#review").get_by_role("button", name="Fetal brain").click()
    page.until("document.querySelector('#review-count').textContent === '1 frame reviewed.'")
    page.page.route("**/frame?*", lambda route: route.fulfill(status=413, body='{"detail": "Too large."}'))
    page.page.click("#review-zip")
    page.until("document.querySelector('#review-saved').textContent === 'Not saved: Too large.'")
