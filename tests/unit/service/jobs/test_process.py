"""`fetal-planes process`: folders and trees, resumed runs, bad files, DICOM results, and the systems that start it."""

import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pydicom
import pytest

from service import cli
from service.jobs.journal import JobKey, ResultLog, ResultLogError
from service.jobs.progress import JobProgress
from service.jobs.rows import ResultRow
from tests.support import dicom_objects as dicoms
from tests.support.images import animation, encode, speckle
from tests.support.paths import ROOT
from tests.support.phantom_package import Phantom

CINE = dicoms.compressed([speckle(60, 80, seed=seed) for seed in range(5)], dicoms.RLE, dicoms.rle, "MONOCHROME2")
SR, SC = "1.2.840.10008.5.1.4.1.1.88.33", dicoms.SECONDARY


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Nine frames in four files, and two files that are none."""
    folder = tmp_path / "in"
    (folder / "a" / "b").mkdir(parents=True)
    (folder / "still.png").write_bytes(encode(speckle(40, 50, seed=1)))
    (folder / "a" / "cine.dcm").write_bytes(CINE)
    (folder / "a" / "b" / "pages.tif").write_bytes(animation("TIFF", [speckle(30, 40, seed=seed) for seed in (7, 8)]))
    (folder / "a" / "still").write_bytes(dicoms.native([speckle(60, 80, seed=9)], SOPInstanceUID="1.2.3.9"))
    (folder / "notes.txt").write_text("no frame")
    (folder / "a" / "cut.dcm").write_bytes(CINE[: len(CINE) // 2])
    (folder / ".hidden").write_text("not looked at")
    return folder


def process(model: Path, *arguments: object) -> int:
    return cli.main(["process", "--model", str(model), *map(str, arguments)])


def rows(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "frames.jsonl").read_text().splitlines()]


def places(out: Path) -> list[tuple[str, int]]:
    return [(row["file"], row["frame"]) for row in rows(out)]


EXPECTED = sorted(
    [("still.png", 0), ("a/still", 0), ("notes.txt", 0), ("a/cut.dcm", 0), ("a/b/pages.tif", 0), ("a/b/pages.tif", 1)]
    + [("a/cine.dcm", frame) for frame in range(5)]
)


class TestFolder:
    def test_every_frame_has_its_row(self, tree: Path, tmp_path: Path, phantom_folder: Path) -> None:
        assert process(phantom_folder, tree, tmp_path / "out") == 1  # some are refused
        assert sorted(places(tmp_path / "out")) == EXPECTED

    def test_a_row_answers_as_classify_does(
        self, tree: Path, tmp_path: Path, phantom_folder: Path, client: Any
    ) -> None:
        process(phantom_folder, tree, tmp_path / "out")
        for row in rows(tmp_path / "out"):
            reply = client.post(f"/classify?frame={row['frame']}", content=(tree / row["file"]).read_bytes()).json()
            said = row["answer"] or row["problem"]
            assert said | {"request_id": ""} == reply | {"request_id": ""}
            assert (row["answer"] is None) == (row["file"] in ("notes.txt", "a/cut.dcm"))

    def test_the_table(self, tree: Path, tmp_path: Path, phantom_folder: Path) -> None:
        process(phantom_folder, tree, tmp_path / "out")
        with (tmp_path / "out" / "frames.csv").open(newline="") as file:
            lines = list(csv.DictReader(file))
        assert [(line["file"], int(line["frame"])) for line in lines] == EXPECTED
        found = {(row["file"], row["frame"]): row for row in rows(tmp_path / "out")}
        for line in lines:
            row = found[line["file"], int(line["frame"])]
            if row["answer"]:
                assert line["plane"] == row["answer"]["predictions"][0]["plane"]
                assert float(line["second_probability"]) == row["answer"]["predictions"][1]["probability"]
                assert line["problem"] == ""
            else:
                assert (line["problem"], line["detail"]) == (row["problem"]["code"], row["problem"]["detail"])

    def test_a_name_is_no_formula(self, tmp_path: Path, phantom_folder: Path) -> None:
        (tmp_path / "in").mkdir()
        (tmp_path / "in" / "=1+1.png").write_bytes(encode(speckle()))
        assert process(phantom_folder, tmp_path / "in", tmp_path / "out") == 0
        assert "'=1+1.png" in (tmp_path / "out" / "frames.csv").read_text()

    def test_the_counts(self, tree: Path, tmp_path: Path, phantom_folder: Path) -> None:
        process(phantom_folder, tree, tmp_path / "out")
        result = json.loads((tmp_path / "out" / "result.json").read_text())
        assert (result["frames"], result["refused"], result["abstained"]) == (11, 2, 0)
        assert sum(result["planes"].values()) == 9
        assert "Research use only" in result["disclaimer"]

    def test_results_among_the_frames_are_not_frames(self, tree: Path, phantom_folder: Path) -> None:
        assert process(phantom_folder, tree, tree / "out") == 1
        assert process(phantom_folder, tree, tree / "out") == 1
        assert sorted(places(tree / "out")) == EXPECTED

    def test_an_unreadable_file_is_a_row(self, tree: Path, tmp_path: Path, phantom_folder: Path) -> None:
        (tree / "nowhere.png").symlink_to(tree / "still.png")
        (tree / "still.png").rename(tree / "moved.png")
        assert process(phantom_folder, tree, tmp_path / "out") == 1
        assert ("moved.png", 0) in places(tmp_path / "out")

    def test_a_frame_that_fails_by_a_bug_is_a_row_without_its_text(
        self, tree: Path, tmp_path: Path, phantom_folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: object) -> None:
            raise ZeroDivisionError("Zanzibar^Quokka")

        monkeypatch.setattr("service.analysis.pipeline.Pipeline.classify_frame", fail)
        assert process(phantom_folder, tree, tmp_path / "out") == 1
        assert {row["problem"]["code"] for row in rows(tmp_path / "out")} >= {"internal-error", "unsupported-format"}
        assert "Zanzibar" not in (tmp_path / "out" / "frames.jsonl").read_text()

    @pytest.mark.parametrize("arguments", [[], ["in"], ["in", "out", "more"], ["absent", "out"]])
    def test_wrong_folders(
        self, arguments: list[str], tmp_path: Path, phantom_folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        (tmp_path / "in").mkdir()
        assert process(phantom_folder, *arguments) == 2


class TestResume:
    def test_a_second_run_does_nothing_again(
        self, tree: Path, tmp_path: Path, phantom_folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        process(phantom_folder, tree, tmp_path / "out")
        before = (tmp_path / "out" / "frames.jsonl").read_bytes()
        monkeypatch.setattr("service.jobs.worker.FrameWorker.work", lambda *_: pytest.fail("worked again"))
        assert process(phantom_folder, tree, tmp_path / "out") == 1
        assert (tmp_path / "out" / "frames.jsonl").read_bytes() == before

    @pytest.mark.parametrize("kept", [0, 1, 4, 9])
    @pytest.mark.parametrize("torn", [b"", b'{"file": "a/ci'])
    def test_goes_on_where_it_was(
        self, tree: Path, tmp_path: Path, phantom_folder: Path, kept: int, torn: bytes
    ) -> None:
        process(phantom_folder, tree, tmp_path / "out")
        journal = tmp_path / "out" / "frames.jsonl"
        lines = journal.read_bytes().splitlines(keepends=True)
        journal.write_bytes(b"".join(lines[:kept]) + torn)
        process(phantom_folder, tree, tmp_path / "out")
        assert journal.read_bytes().startswith(b"".join(lines[:kept]))
        assert sorted(places(tmp_path / "out")) == EXPECTED

    def test_after_a_kill(self, tmp_path: Path, phantom_folder: Path) -> None:
        folder, out = tmp_path / "in", tmp_path / "out"
        folder.mkdir()
        (folder / "cine.dcm").write_bytes(dicoms.native([speckle(400, 400, seed=seed) for seed in range(3)] * 40))
        command = [sys.executable, "-m", "service.cli", "process", str(folder), str(out), "--overlays"]
        environment = os.environ | {"FETAL_PLANES_MODEL": str(phantom_folder), "FETAL_PLANES_WORKERS": "2"}
        run = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)
        journal = out / "frames.jsonl"
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not (journal.exists() and journal.stat().st_size > 3000):
            time.sleep(0.01)
        run.send_signal(signal.SIGKILL)
        run.wait()
        done = journal.read_bytes()
        assert 0 < done.count(b"\n") < 120  # it was at work
        subprocess.run(command, cwd=ROOT, env=environment, check=True, stderr=subprocess.DEVNULL)
        assert sorted(places(out)) == [("cine.dcm", frame) for frame in range(120)]
        assert journal.read_bytes().startswith(done[: done.rfind(b"\n") + 1])
        assert len(list((out / "dicom").glob("*.dcm"))) == 120
        assert not list(out.rglob(".*.part"))

    def test_another_model_s_answers_are_not_mixed_in(
        self, tree: Path, tmp_path: Path, phantom_folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        process(phantom_folder, tree, tmp_path / "out")
        other = Phantom(temperature=2.0).write(tmp_path / "other")
        assert process(other, tree, tmp_path / "out") == 2
        assert "another model" in capsys.readouterr().err

    def test_a_file_that_is_no_journal_is_left_alone(self, tmp_path: Path) -> None:
        path = tmp_path / "frames.jsonl"
        path.write_text('{"something": "else"}\n')
        with pytest.raises(ResultLogError):
            ResultLog(tmp_path, JobKey(model_sha256="", decision_digest=""))
        assert path.read_text() == '{"something": "else"}\n'


class TestDicomResults:
    def classes(self, folder: Path) -> list[str]:
        return sorted(str(pydicom.dcmread(path).SOPClassUID) for path in folder.glob("*.dcm"))

    @pytest.mark.parametrize(
        ("options", "expected"),
        [([], []), (["--reports"], [SR] * 6), (["--overlays"], [SC] * 6),
         (["--reports", "--overlays"], [SC] * 6 + [SR] * 6)],
    )  # fmt: skip
    def test_one_of_each_kind_for_each_frame(
        self, tree: Path, tmp_path: Path, phantom_folder: Path, options: list[str], expected: list[str]
    ) -> None:
        process(phantom_folder, tree, tmp_path / "out", *options)
        assert self.classes(tmp_path / "out" / "dicom") == expected
        named = [name for row in rows(tmp_path / "out") for name in row["dicom"]]
        assert sorted(named) == sorted(path.name for path in (tmp_path / "out" / "dicom").glob("*.dcm"))

    def test_an_object_that_names_no_study_is_a_row(self, tmp_path: Path, phantom_folder: Path) -> None:
        (tmp_path / "in").mkdir()
        (tmp_path / "in" / "a.dcm").write_bytes(dicoms.native([speckle()], StudyInstanceUID=None))
        assert process(phantom_folder, tmp_path / "in", tmp_path / "out", "--reports") == 1
        assert rows(tmp_path / "out")[0]["problem"]["code"] == "no-dicom-source"


class TestMercure:
    """As mercure runs a module: two folders in the environment, tags beside the images, results in one flat folder."""

    def run(self, tmp_path: Path, model: Path, task: dict[str, Any] | None = None) -> Path:
        source, target = tmp_path / "in", tmp_path / "out"
        source.mkdir()
        target.mkdir()
        (source / "1.2.3.4.1#1.2.3.4.5.dcm").write_bytes(CINE)
        (source / "1.2.3.4.1#1.2.3.4.5.tags").write_text(json.dumps({"PatientName": dicoms.PLANTED["PatientName"]}))
        if task is not None:
            (source / "task.json").write_text(json.dumps(task))
        environment = os.environ | {
            "MERCURE_IN_DIR": str(source), "MERCURE_OUT_DIR": str(target), "FETAL_PLANES_MODEL": str(model)
        }  # fmt: skip
        command = [sys.executable, "-m", "service.cli", "process"]
        subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)
        return target

    def test_objects_lie_flat_beside_the_result(self, tmp_path: Path, phantom_folder: Path) -> None:
        out = self.run(tmp_path, phantom_folder)
        assert len(list(out.glob("*.dcm"))) == 10
        result = json.loads((out / "result.json").read_text())
        assert result["frames"] == 5
        notification = result["__mercure_notification"]
        assert notification["text"].startswith("5 frames: ")
        assert notification["requested"] is False
        assert {row["file"] for row in rows(out)} == {"1.2.3.4.1#1.2.3.4.5.dcm"}

    def test_settings_of_the_task(self, tmp_path: Path, phantom_folder: Path) -> None:
        out = self.run(tmp_path, phantom_folder, {"process": {"settings": {"overlays": False}}})
        assert {str(pydicom.dcmread(path).SOPClassUID) for path in out.glob("*.dcm")} == {SR}


def test_xnat_s_command_label_runs(tmp_path: Path, tree: Path, phantom_folder: Path) -> None:
    label = re.search(r"org\.nrg\.commands='(.*)'", (ROOT / "Dockerfile").read_text())
    assert label
    (command,) = json.loads(label[1])
    mounts = {mount["name"]: mount["path"] for mount in command["mounts"]}
    assert {output["mount"] for output in command["outputs"]} <= set(mounts)
    line = command["command-line"].split()
    assert line[0] == "fetal-planes"
    assert command["override-entrypoint"] is True
    places = {"/input": str(tree), "/output": str(tmp_path / "out")}
    assert set(mounts.values()) == set(places)
    arguments = [places.get(word, word) for word in line[1:]]
    assert cli.main([*arguments, "--model", str(phantom_folder)]) == 1
    assert len(list((tmp_path / "out" / "dicom").glob("*.dcm"))) == 12


class TestProgress:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    def test_says_how_far_it_is(self) -> None:
        stream = self.Terminal()
        with JobProgress(4, "file", stream=stream) as progress:
            for new_file in (1, 1, 0):
                progress.add(new_file, 1)
        assert "2/4" in stream.getvalue()
        assert "3 frames" in stream.getvalue()

    def test_is_silent_elsewhere(self) -> None:
        stream = io.StringIO()
        with JobProgress(4, "file", stream=stream) as progress:
            progress.add(1, 1)
        assert stream.getvalue() == ""


def test_a_row_is_documented() -> None:
    assert all(field.description for field in ResultRow.model_fields.values())
