"""DICOM objects of `fetal-planes process`, and the systems that start it: mercure and XNAT."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pydicom
import pytest

from service import cli
from tests.support import dicom_objects as dicoms
from tests.support.images import speckle
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

    def run(self, tmp_path: Path, model: Path, task: dict[str, Any] | None = None, *options: str) -> Path:
        source, target = tmp_path / "in", tmp_path / "out"
        source.mkdir(exist_ok=True)
        target.mkdir()
        (source / "1.2.3.4.1#1.2.3.4.5.dcm").write_bytes(CINE)
        (source / "1.2.3.4.1#1.2.3.4.5.tags").write_text(json.dumps({"PatientName": dicoms.PLANTED["PatientName"]}))
        if task is not None:
            (source / "task.json").write_text(json.dumps(task))
        environment = os.environ | {
            "MERCURE_IN_DIR": str(source), "MERCURE_OUT_DIR": str(target), "FETAL_PLANES_MODEL": str(model)
        }  # fmt: skip
        command = [sys.executable, "-m", "service.cli", "process", *options]
        subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)
        return target

    def test_objects_are_next_to_the_result(self, tmp_path: Path, phantom_folder: Path) -> None:
        out = self.run(tmp_path, phantom_folder)
        assert len(list(out.glob("*.dcm"))) == 10
        result = json.loads((out / "result.json").read_text())
        assert result["frames"] == 5
        notification = result["__mercure_notification"]
        assert notification["text"].startswith("5 frames: ")
        assert notification["requested"] is False
        assert {row["file"] for row in result_rows(out)} == {"1.2.3.4.1#1.2.3.4.5.dcm"}

    def test_a_refused_frame_fails_the_job_only_if_asked(self, tmp_path: Path, phantom_folder: Path) -> None:
        (tmp_path / "in").mkdir()
        (tmp_path / "in" / "bad.dcm").write_bytes(CINE[:600])
        out = self.run(tmp_path, phantom_folder)
        assert json.loads((out / "result.json").read_text())["refused"] == 1
        out.rename(tmp_path / "before")
        with pytest.raises(subprocess.CalledProcessError) as failed:
            self.run(tmp_path, phantom_folder, None, "--no-allow-refused")
        assert failed.value.returncode == 1

    def test_the_task_chooses_the_objects(self, tmp_path: Path, phantom_folder: Path) -> None:
        out = self.run(tmp_path, phantom_folder, {"process": {"settings": {"overlays": False}}})
        assert set(sop_classes(out)) == {SR}


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
