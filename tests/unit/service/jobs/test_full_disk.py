"""A disk that is full ends the run, not a frame; the next run continues where it stopped."""

import errno
import json
import os
import resource
from functools import partial
from pathlib import Path

import pytest

from service.analysis.pipeline import Pipeline
from service.jobs.outputs import write_whole
from service.jobs.process import FolderJob, JobResult, process_folder
from tests.support import dicom_objects as dicoms
from tests.support.images import speckle
from tests.support.job_inputs import FRAMES, process, result_frames, result_rows


def process_on_a_small_disk(limit: int, job: FolderJob, pipeline: Pipeline, threads: int) -> JobResult:
    """Process a folder while no file may exceed a size: as on a full disk, the write that reaches it writes a part."""
    pipeline.decoder.start()  # first, because the memory that the decoders share counts as a file
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        return process_folder(job, pipeline, threads)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("limit", [1, 700, 3000, 5000])
def test_a_log_that_cannot_grow_ends_the_run(
    source: Path,
    out: Path,
    phantom_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    limit: int,
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("service.jobs.process.process_folder", partial(process_on_a_small_disk, limit))
        assert process(phantom_folder, source, out) == 2
    assert f"{out} cannot be written: File too large; run the same command again" in capsys.readouterr().err
    assert [path.name for path in out.iterdir() if path.name.startswith(".")] == []
    assert process(phantom_folder, source, out) == 1  # two files are refused
    assert sorted(result_frames(out)) == FRAMES
    assert not [row for row in result_rows(out) if row["problem"] and row["problem"]["status"] >= 500]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS])
@pytest.mark.parametrize("after", [0, 3])
def test_an_object_that_cannot_be_written_ends_the_run(
    source: Path,
    out: Path,
    phantom_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    number: int,
    after: int,
) -> None:
    written: list[Path] = []

    def fill_disk(path: Path, contents: bytes) -> None:
        if path.suffix == ".dcm":
            if len(written) >= after:
                raise OSError(number, os.strerror(number))
            written.append(path)
        write_whole(path, contents)

    with monkeypatch.context() as patch:
        patch.setattr("service.jobs.process.write_whole", fill_disk)
        assert process(phantom_folder, source, out, "--reports") == 2
    assert os.strerror(number) in capsys.readouterr().err
    assert not [row for row in result_rows(out) if row["problem"] and row["problem"]["status"] >= 500]
    assert not [row for row in result_rows(out) if row["dicom_problem"]]
    assert process(phantom_folder, source, out, "--reports") == 1
    assert sorted(result_frames(out)) == FRAMES
    assert len(list((out / "dicom").iterdir())) == 6


def test_a_table_heals_too(tmp_path: Path, out: Path, phantom_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pyarrow", reason="the extra `table` is not installed")
    from service.imaging.frame import DEFAULT_LIMITS
    from service.jobs import JobError
    from service.jobs.tables.export import export_table
    from service.jobs.tables.plan import ShardSize
    from service.jobs.tables.shard import TableJob
    from tests.support.table_inputs import read_table, write_stills

    job, size = TableJob(str(write_stills(tmp_path / "in", 10)), str(out), phantom_folder, 2), ShardSize(4, 2**20)

    def fill_disk(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr("service.jobs.tables.shard.parquet.write_table", fill_disk)
        with pytest.raises(JobError, match="No space left on device"):
            export_table(job, DEFAULT_LIMITS, size)
    assert export_table(job, DEFAULT_LIMITS, size).frames == 18
    assert read_table(out).num_rows == 18


def test_a_source_that_cannot_be_read_is_a_row_and_is_tried_again(
    tmp_path: Path, out: Path, phantom_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.dcm").write_bytes(dicoms.native([speckle()]))

    def fail(_: Path) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr("service.imaging.files.local_file._open_descriptor", fail)
        assert process(phantom_folder, tmp_path / "in", out) == 1
    assert result_rows(out)[0]["problem"]["detail"] == "The file cannot be read: Input/output error."
    assert process(phantom_folder, tmp_path / "in", out) == 0
    assert json.loads((out / "result.json").read_text())["refused"] == 0
