"""ZIP archives in folders: `process`, `table` and `exam` read them like folders."""

import io
import json
from pathlib import Path

import pytest
from pyarrow import dataset

from service.cli import main
from tests.support.images import encode, speckle
from tests.support.job_inputs import process, result_frames, result_rows
from tests.support.zips import usb_export, zip_of

STILL = encode(speckle(40, 56, 3))
FRAMES = [("study.ZIP/DICOM/S0001/IM_0001", 0), ("study.ZIP/DICOM/S0001/IM_0002", 0), ("study.ZIP/still.png", 0)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    (folder / "dir.zip").mkdir(parents=True)
    (folder / "study.ZIP").write_bytes(zip_of(usb_export()))
    (folder / "dir.zip" / "still.png").write_bytes(encode(speckle(40, 56, 5)))
    return folder


def test_process_reads_archives_and_skips_companions(folder: Path, out: Path, phantom_folder: Path) -> None:
    assert process(phantom_folder, folder, out) == 0
    assert sorted(result_frames(out)) == sorted([("dir.zip/still.png", 0), *FRAMES])
    assert all(row["sha256"] for row in result_rows(out))
    skipped = {each["file"] for each in json.loads((out / "result.json").read_text())["skipped_files"]}
    names = {"DICOMDIR", "README.TXT", "VIEWER/VIEWER.EXE", "AUTORUN.INF", ".DS_Store", "__MACOSX/DICOM/._IM_0001"}
    assert skipped == {f"study.ZIP/{name}" for name in names}


def test_process_continues_with_the_changed_files_of_an_archive(folder: Path, out: Path, phantom_folder: Path) -> None:
    assert process(phantom_folder, folder, out) == 0
    before = (out / "frames.jsonl").read_bytes()
    assert process(phantom_folder, folder, out) == 0
    assert (out / "frames.jsonl").read_bytes() == before
    files = dict(usb_export()) | {"still.png": encode(speckle(40, 56, 7)), "new.png": STILL}
    del files["DICOM/S0001/IM_0002"]
    (folder / "study.ZIP").write_bytes(zip_of(files.items()))
    assert process(phantom_folder, folder, out) == 0
    assert sorted(result_frames(out)) == [
        ("dir.zip/still.png", 0), FRAMES[0], ("study.ZIP/new.png", 0), FRAMES[2]
    ]  # fmt: skip


def test_a_damaged_archive_is_one_refused_file(folder: Path, out: Path, phantom_folder: Path) -> None:
    (folder / "study.ZIP").write_bytes(zip_of(usb_export())[:2000])
    assert process(phantom_folder, folder, out) == 1
    refused = [row for row in result_rows(out) if row["problem"]]
    assert [row["file"] for row in refused] == ["study.ZIP"]


def test_a_name_in_an_archive_reads_no_file_outside(tmp_path: Path, out: Path, phantom_folder: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "outside.png").write_bytes(STILL)
    (tmp_path / "in" / "evil.zip").write_bytes(zip_of([("../../outside.png", b"text"), ("a.png", STILL)]))
    assert process(phantom_folder, tmp_path / "in", out) == 1
    rows = {row["file"]: row["problem"] and row["problem"]["code"] for row in result_rows(out)}
    assert rows["evil.zip/a.png"] is None
    assert rows["evil.zip/../../outside.png"] == "unsupported-format"


def test_a_table_reads_archives(folder: Path, tmp_path: Path, phantom_folder: Path) -> None:
    assert main(["table", str(folder), str(tmp_path / "table"), "--model", str(phantom_folder)]) == 0
    rows = dataset.dataset(tmp_path / "table", partitioning="hive").to_table(columns=["file", "problem"]).to_pylist()
    assert sorted(row["file"] for row in rows) == sorted(["dir.zip/still.png", *(name for name, _ in FRAMES)])
    assert all(row["problem"] is None for row in rows)


def test_an_exam_and_a_cine_read_archives(
    folder: Path, phantom_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["exam", str(folder), "--model", str(phantom_folder)]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["files"], report["frames"], report["refused"]) == (4, 4, [])
    assert main(["cine", str(folder / "study.ZIP"), "--frames", "--model", str(phantom_folder)]) == 0
    lines = [json.loads(line) for line in io.StringIO(capsys.readouterr().out)]
    assert [line["source"]["name"] for line in lines if "source" in line] == [name for name, _ in FRAMES]
