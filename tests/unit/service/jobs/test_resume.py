"""`fetal-planes process` continues an interrupted job, and refuses results of another model or other code."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.jobs import JobError
from service.jobs.journal import FolderKey, ResultLog
from service.jobs.listing import FileEntry, walk_folder
from service.jobs.outputs import one_run
from tests.support import dicom_objects as dicoms
from tests.support.images import encode, speckle
from tests.support.job_inputs import FRAMES, process, result_frames, result_rows
from tests.support.paths import ROOT
from tests.support.phantom_package import Phantom
from tests.support.phantom_stills import still
from tests.support.waiting import eventually

KEY = FolderKey(
    model_sha256="0" * 64,
    decision_digest="1" * 64,
    every=1,
    limit=None,
    fps=None,
    best=False,
    reports=False,
    overlays=False,
)


PLANES = ("fetal_brain", "fetal_femur", "fetal_thorax")


def open_log(folder: Path) -> ResultLog:
    return ResultLog(folder, KEY, lambda _: {}, lambda _: None)


def test_a_second_run_repeats_no_frame(
    source: Path, out: Path, phantom_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process(phantom_folder, source, out)
    before = (out / "frames.jsonl").read_bytes()
    result = (out / "result.json").read_bytes()
    monkeypatch.setattr("service.analysis.pipeline.Pipeline.classify_frame", lambda *_: pytest.fail("worked again"))
    assert process(phantom_folder, source, out) == 1
    assert (out / "frames.jsonl").read_bytes() == before
    assert (out / "result.json").read_bytes() == result


@pytest.mark.parametrize("kept", [0, 1, 4, 9])
@pytest.mark.parametrize("partial_line", [b"", b'{"file": "a/ci'])
def test_a_job_continues_after_the_last_whole_row(
    source: Path, out: Path, phantom_folder: Path, kept: int, partial_line: bytes
) -> None:
    process(phantom_folder, source, out)
    log = out / "frames.jsonl"
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join(lines[:kept]) + partial_line)
    process(phantom_folder, source, out)
    assert log.read_bytes().startswith(b"".join(lines[:kept]))
    assert sorted(result_frames(out)) == FRAMES


def test_a_job_continues_after_a_kill(tmp_path: Path, out: Path, phantom_folder: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "cine.dcm").write_bytes(dicoms.native([speckle(400, 400, seed=seed) for seed in range(3)] * 40))
    command = [sys.executable, "-m", "service.cli", "process", str(folder), str(out), "--overlays"]
    environment = os.environ | {"FETAL_PLANES_MODEL": str(phantom_folder), "FETAL_PLANES_WORKERS": "2"}
    run = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)
    log = out / "frames.jsonl"
    eventually(lambda: log.exists() and log.stat().st_size > 3000)
    run.send_signal(signal.SIGKILL)
    run.wait()
    done = log.read_bytes()
    assert 0 < done.count(b"\n") < 120  # it was in the middle of the job
    subprocess.run(command, cwd=ROOT, env=environment, check=True, stderr=subprocess.DEVNULL)
    assert sorted(result_frames(out)) == [("cine.dcm", frame) for frame in range(120)]
    assert log.read_bytes().startswith(done[: done.rfind(b"\n") + 1])
    assert len(list((out / "dicom").glob("*.dcm"))) == 120
    assert not list(out.rglob(".*"))


def test_a_draft_of_a_killed_job_is_deleted(source: Path, out: Path, phantom_folder: Path) -> None:
    draft = out / "dicom" / ".fetal-planes-0123.part"
    draft.parent.mkdir(parents=True)
    draft.write_bytes(b"half an object")
    process(phantom_folder, source, out)
    assert not draft.exists()


def test_answers_of_another_model_are_refused(
    source: Path, out: Path, tmp_path: Path, phantom_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    process(phantom_folder, source, out)
    other = Phantom(temperature=2.0).write(tmp_path / "other")
    assert process(other, source, out) == 2
    assert "it holds answers of another model" in capsys.readouterr().err


def test_answers_of_another_precision_are_refused(
    source: Path,
    out: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("service.inference.precision.has_int8_instruction", lambda: True)
    model = Phantom(int8=Phantom(temperature=2.0)).write(tmp_path / "both")
    monkeypatch.setenv("FETAL_PLANES_PRECISION", "int8")
    process(model, source, out)
    rows = (out / "frames.jsonl").read_bytes()
    assert b'"precision":"int8"' in rows
    assert json.loads((out / "result.json").read_text())["model"]["precision"] == "int8"
    monkeypatch.setenv("FETAL_PLANES_PRECISION", "float32")
    assert process(model, source, out) == 2
    assert "FETAL_PLANES_PRECISION=int8 continues it" in capsys.readouterr().err
    assert (out / "frames.jsonl").read_bytes() == rows
    monkeypatch.setenv("FETAL_PLANES_PRECISION", "int8")
    process(model, source, out)
    assert (out / "frames.jsonl").read_bytes() == rows


def test_answers_of_other_code_are_refused(
    source: Path,
    out: Path,
    phantom_folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    process(phantom_folder, source, out)
    before = (out / "frames.jsonl").read_bytes()
    monkeypatch.setattr("service.jobs.journal.decision_digest", lambda: "another digest")
    assert process(phantom_folder, source, out) == 2
    assert "another version of the program" in capsys.readouterr().err
    assert (out / "frames.jsonl").read_bytes() == before


def test_rows_without_a_key_are_refused(source: Path, out: Path, phantom_folder: Path) -> None:
    process(phantom_folder, source, out)
    (out / "job.json").unlink()
    assert process(phantom_folder, source, out) == 2


def test_a_file_of_another_kind_is_left_alone(tmp_path: Path) -> None:
    open_log(tmp_path).close()
    (tmp_path / "frames.jsonl").write_text('{"something": "else"}\n')
    with pytest.raises(JobError, match="not a results log"):
        open_log(tmp_path)
    assert (tmp_path / "frames.jsonl").read_text() == '{"something": "else"}\n'


def planes(out: Path) -> dict[tuple[str, int], str]:
    return {(row["file"], row["frame"]): row["answer"]["predictions"][0]["plane"] for row in result_rows(out)}


@pytest.fixture
def stills(tmp_path: Path, phantom: Phantom) -> Path:
    """A folder of three stills of different planes."""
    folder = tmp_path / "stills"
    folder.mkdir()
    for name in PLANES:
        (folder / f"{name}.png").write_bytes(encode(still(phantom, name, 0)))
    return folder


@pytest.mark.parametrize("same_time", [True, False])
def test_a_replaced_file_is_worked_on_again_and_no_other(
    stills: Path, out: Path, phantom: Phantom, phantom_folder: Path, same_time: bool
) -> None:
    assert process(phantom_folder, stills, out) == 0
    first, second, _ = (stills / f"{name}.png" for name in PLANES)
    ids = {row["file"]: row["answer"]["request_id"] for row in result_rows(out)}
    times = first.stat()
    first.write_bytes(second.read_bytes())
    if same_time:
        os.utime(first, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert process(phantom_folder, stills, out) == 0
    assert planes(out)[first.name, 0] == PLANES[1]
    assert len(result_rows(out)) == 3
    again = {row["file"]: row["answer"]["request_id"] for row in result_rows(out)}
    assert {name for name in ids if ids[name] != again[name]} == {first.name}
    assert (out / "frames.csv").read_text().count(f"\n{first.name},") == 1


def test_a_deleted_file_leaves_the_results(stills: Path, out: Path, phantom_folder: Path) -> None:
    assert process(phantom_folder, stills, out) == 0
    (stills / f"{PLANES[0]}.png").unlink()
    assert process(phantom_folder, stills, out) == 0
    assert json.loads((out / "result.json").read_text())["frames"] == 2
    assert f"{PLANES[0]}.png" not in (out / "frames.csv").read_text() + (out / "frames.jsonl").read_text()


def test_objects_of_a_replaced_file_are_deleted(tmp_path: Path, out: Path, phantom_folder: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    for number, name in enumerate(("a.dcm", "b.dcm", "copy of b.dcm")):
        uid = f"1.2.3.{min(number, 1)}"
        (source / name).write_bytes(dicoms.native([speckle()], SOPInstanceUID=uid))
    process(phantom_folder, source, out, "--reports")
    assert len(list((out / "dicom").iterdir())) == 2
    (source / "a.dcm").write_bytes(dicoms.native([speckle()], SOPInstanceUID="1.2.3.2"))
    (source / "b.dcm").unlink()  # its copy needs the same object
    process(phantom_folder, source, out, "--reports")
    assert {name for row in result_rows(out) for name in row["dicom"]} == {
        path.name for path in (out / "dicom").iterdir()
    }
    assert len(list((out / "dicom").iterdir())) == 2


def test_a_repaired_file_is_worked_on_again(stills: Path, out: Path, phantom_folder: Path) -> None:
    path = stills / f"{PLANES[0]}.png"
    whole = path.read_bytes()
    path.write_bytes(whole[:200])
    assert process(phantom_folder, stills, out) == 1
    path.write_bytes(whole)
    assert process(phantom_folder, stills, out) == 0
    assert len(planes(out)) == 3


def test_an_empty_folder_leaves_the_results_alone(stills: Path, out: Path, phantom_folder: Path) -> None:
    process(phantom_folder, stills, out)
    stills.rename(stills.with_name("away"))  # a share that is not mounted
    stills.mkdir()
    assert process(phantom_folder, stills, out) == 2
    assert len(result_rows(out)) == 3


def test_a_frame_that_failed_for_another_reason_is_tried_again(
    stills: Path, out: Path, phantom_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr("service.analysis.pipeline.Pipeline.classify_frame", fail)
        assert process(phantom_folder, stills, out) == 1
    assert process(phantom_folder, stills, out) == 0
    assert len(planes(out)) == 3


@pytest.mark.parametrize("options", [["--reports"], ["--overlays"], ["--every", "2"], ["--limit", "3"], ["--best"]])
def test_other_options_need_another_folder(
    stills: Path, out: Path, phantom_folder: Path, capsys: pytest.CaptureFixture[str], options: list[str]
) -> None:
    process(phantom_folder, stills, out)
    assert process(phantom_folder, stills, out, *options) == 2
    assert f"another value of {options[0]}" in capsys.readouterr().err


def test_a_second_run_at_the_same_time_is_refused(
    stills: Path, out: Path, phantom_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out.mkdir()
    with one_run(out):
        assert process(phantom_folder, stills, out) == 2
    assert "another run writes to" in capsys.readouterr().err
    assert not list(out.iterdir())


def test_a_file_that_vanishes_during_the_run_is_refused_and_then_gone(
    stills: Path, out: Path, phantom_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def list_one_more(root: Path) -> Iterator[FileEntry]:
        yield from walk_folder(root)
        yield FileEntry("gone.png", 1, 0)

    with monkeypatch.context() as patch:
        patch.setattr("service.jobs.process.walk_folder", list_one_more)
        assert process(phantom_folder, stills, out) == 1
    assert [row["problem"]["code"] for row in result_rows(out) if row["problem"]] == ["not-found"]
    assert process(phantom_folder, stills, out) == 0
    assert len(result_rows(out)) == 3
