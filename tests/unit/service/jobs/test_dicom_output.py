"""DICOM objects of `fetal-planes process`, and the systems that start it: mercure and XNAT."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pydicom
import pytest

from service import cli
from tests.support import dicom_objects as dicoms
from tests.support.images import encode, speckle
from tests.support.job_inputs import CINE, process, result_rows
from tests.support.paths import ROOT

SR, SC = "1.2.840.10008.5.1.4.1.1.88.33", dicoms.SECONDARY


def sop_classes(folder: Path) -> list[str]:
    return sorted(str(pydicom.dcmread(path).SOPClassUID) for path in folder.glob("*.dcm"))


@pytest.mark.parametrize(
    ("options", "expected"),
    [([], []), (["--reports"], [SR] * 6), (["--overlays"], [SC] * 6),
     (["--reports", "--overlays"], [SC] * 6 + [SR] * 6)],
)  # fmt: skip
def test_each_dicom_frame_has_one_object_of_each_kind(
    source: Path, out: Path, phantom_folder: Path, options: list[str], expected: list[str]
) -> None:
    process(phantom_folder, source, out, *options)
    assert sop_classes(out / "dicom") == expected
    names = [name for row in result_rows(out) for name in row["dicom"]]
    assert sorted(names) == sorted(path.name for path in (out / "dicom").glob("*.dcm"))


def test_an_object_without_a_study_keeps_its_answer(tmp_path: Path, out: Path, phantom_folder: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.dcm").write_bytes(dicoms.native([speckle()], StudyInstanceUID=None))
    assert process(phantom_folder, tmp_path / "in", out, "--reports") == 1
    (row,) = result_rows(out)
    assert (row["problem"], row["dicom"]) == (None, [])
    assert row["answer"]["predictions"]
    assert "Study" in row["dicom_problem"]
    assert row["dicom_problem"] in (out / "frames.csv").read_text()
    assert json.loads((out / "result.json").read_text())["without_result"] == 1


def test_live_frames_become_captures_of_a_study_and_have_reports(
    tmp_path: Path, out: Path, phantom_folder: Path
) -> None:
    """As docs/how-to/live.md says."""
    program = shutil.which("img2dcm")
    if program is None:
        pytest.skip("img2dcm is not installed (Debian's package dcmtk has it)")
    (tmp_path / "in").mkdir()
    (tmp_path / "study.dcm").write_bytes(dicoms.native([speckle()]))
    for number in (1, 2):
        color = np.dstack([speckle(seed=number)] * 3)
        (tmp_path / f"{number}.jpg").write_bytes(encode(color, "JPEG"))
        arguments = ["--study-from", str(tmp_path / "study.dcm"), "-k", "Modality=US", str(tmp_path / f"{number}.jpg")]
        subprocess.run([program, *arguments, str(tmp_path / "in" / f"{number}.dcm")], check=True)
    assert process(phantom_folder, tmp_path / "in", out, "--reports") == 0
    study = pydicom.dcmread(tmp_path / "study.dcm")
    captures = {str(pydicom.dcmread(path).SOPInstanceUID) for path in (tmp_path / "in").iterdir()}
    reports = [pydicom.dcmread(path) for path in (out / "dicom").iterdir()]
    assert {each.StudyInstanceUID for each in reports} == {study.StudyInstanceUID}
    assert {each.PatientID for each in reports} == {study.PatientID}
    elements = [each for report in reports for each in report.iterall()]
    assert {str(each.value) for each in elements if each.keyword == "ReferencedSOPInstanceUID"} == captures


def test_a_scanner_that_reuses_uids_replaces_no_result(tmp_path: Path, out: Path, phantom_folder: Path) -> None:
    (tmp_path / "in").mkdir()
    one, other = (dicoms.native([speckle(seed=seed)], SOPInstanceUID="1.2.3.99") for seed in (1, 2))
    for name, contents in (("a.dcm", one), ("b.dcm", other), ("copy of a.dcm", one)):
        (tmp_path / "in" / name).write_bytes(contents)
    for _ in range(2):
        assert process(phantom_folder, tmp_path / "in", out, "--reports") == 1
        rows = {row["file"]: row for row in result_rows(out)}
        assert all(row["answer"] for row in rows.values())
        (without,) = {each["sha256"] for each in rows.values() if not each["dicom"]}
        assert all("same SOP Instance UID" in each["dicom_problem"] for each in rows.values() if not each["dicom"])
        assert without in {rows["a.dcm"]["sha256"], rows["b.dcm"]["sha256"]}
        (path,) = (out / "dicom").glob("*.dcm")
        assert {name for each in rows.values() for name in each["dicom"]} == {path.name}
        (out / "frames.jsonl").write_bytes(b"".join((out / "frames.jsonl").read_bytes().splitlines(keepends=True)[:2]))


@pytest.mark.parametrize("failing", ["structured_report.write_report", "secondary_capture.write_overlay"])
def test_a_result_that_fails_costs_neither_the_answer_nor_the_other_result(
    tmp_path: Path, out: Path, phantom_folder: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("Zanzibar^Quokka")

    monkeypatch.setattr(f"service.reports.dicom.{failing}", fail)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.dcm").write_bytes(dicoms.native([speckle()]))
    assert process(phantom_folder, tmp_path / "in", out, "--reports", "--overlays") == 1
    (row,) = result_rows(out)
    assert row["answer"]["predictions"]
    assert len(row["dicom"]) == 1
    assert row["dicom_problem"]
    assert "Zanzibar" not in (out / "frames.jsonl").read_text()


class TestMercure:
    """mercure names two folders in the environment, puts tags next to the images, and sends on a flat folder."""

    @pytest.fixture
    def source(self, tmp_path: Path) -> Path:
        source = tmp_path / "in"
        source.mkdir()
        (source / "1.2.3.4.1#1.2.3.4.5.dcm").write_bytes(CINE)
        (source / "1.2.3.4.1#1.2.3.4.5.tags").write_text(json.dumps({"PatientName": dicoms.PLANTED["PatientName"]}))
        return source

    @pytest.fixture
    def target(self, tmp_path: Path, source: Path, phantom_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """The folder of results, named in the environment as the folder of the images is."""
        target = tmp_path / "out"
        target.mkdir()
        monkeypatch.setenv("MERCURE_IN_DIR", str(source))
        monkeypatch.setenv("MERCURE_OUT_DIR", str(target))
        monkeypatch.setenv("FETAL_PLANES_MODEL", str(phantom_folder))
        return target

    def test_objects_are_next_to_the_result(self, target: Path) -> None:
        assert cli.main(["process"]) == 0
        assert len(list(target.glob("*.dcm"))) == 10
        result = json.loads((target / "result.json").read_text())
        assert result["frames"] == 5
        notification = result["__mercure_notification"]
        assert notification["text"].startswith("5 frames: ")
        assert notification["requested"] is False
        assert {row["file"] for row in result_rows(target)} == {"1.2.3.4.1#1.2.3.4.5.dcm"}

    def test_a_refused_frame_fails_the_job_only_if_asked(self, source: Path, target: Path) -> None:
        (source / "bad.dcm").write_bytes(CINE[:600])
        assert cli.main(["process"]) == 0
        assert json.loads((target / "result.json").read_text())["refused"] == 1
        target.rename(target.with_name("before"))
        target.mkdir()
        assert cli.main(["process", "--no-allow-refused"]) == 1

    def test_the_task_chooses_the_objects(self, source: Path, target: Path) -> None:
        (source / "task.json").write_text(json.dumps({"process": {"settings": {"overlays": False}}}))
        assert cli.main(["process"]) == 0
        assert set(sop_classes(target)) == {SR}


def test_the_command_label_of_xnat_runs(out: Path, source: Path, phantom_folder: Path) -> None:
    label = re.search(r"org\.nrg\.commands='(.*)'", (ROOT / "Dockerfile").read_text())
    assert label
    (command,) = json.loads(label[1])
    mounts = {mount["name"]: mount["path"] for mount in command["mounts"]}
    assert {output["mount"] for output in command["outputs"]} <= set(mounts)
    line = command["command-line"].split()
    assert line[0] == "fetal-planes"
    assert command["override-entrypoint"] is True
    folders = {"/input": str(source), "/output": str(out)}
    assert set(mounts.values()) == set(folders)
    arguments = [folders.get(word, word) for word in line[1:]]
    assert cli.main([*arguments, "--model", str(phantom_folder)]) == 0  # XNAT keeps no results of another exit code
    assert len(list((out / "dicom").glob("*.dcm"))) == 12
