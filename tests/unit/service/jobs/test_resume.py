"""`fetal-planes process` continues an interrupted job, and refuses results of another model or other code."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from service.jobs import JobError
from service.jobs.journal import JobKey, ResultLog
from tests.support import dicom_objects as dicoms
from tests.support.images import speckle
from tests.support.job_inputs import FRAMES, process, result_frames
from tests.support.paths import ROOT
from tests.support.phantom_package import Phantom
from tests.support.waiting import eventually

KEY = JobKey(model_sha256="0" * 64, decision_digest="1" * 64)


def test_a_second_run_repeats_no_frame(
    source: Path, out: Path, phantom_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process(phantom_folder, source, out)
    before = (out / "frames.jsonl").read_bytes()
    monkeypatch.setattr("service.jobs.worker.FrameWorker.work", lambda *_: pytest.fail("worked again"))
    assert process(phantom_folder, source, out) == 1
    assert (out / "frames.jsonl").read_bytes() == before


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
    assert not list(out.rglob(".*.part"))


def test_a_draft_of_a_killed_job_is_deleted(source: Path, out: Path, phantom_folder: Path) -> None:
    draft = out / "dicom" / ".1.2.3.dcm.140001.part"
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
    ResultLog(tmp_path, KEY).close()
    (tmp_path / "frames.jsonl").write_text('{"something": "else"}\n')
    with pytest.raises(JobError, match="not a results log"):
        ResultLog(tmp_path, KEY)
    assert (tmp_path / "frames.jsonl").read_text() == '{"something": "else"}\n'
