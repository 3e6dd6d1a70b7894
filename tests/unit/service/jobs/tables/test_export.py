"""`fetal-planes table` on one machine: one row per frame, whatever the frame is and however often the job is killed."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("pyarrow", reason="the extra `table` is not installed")

from pyarrow import fs, parquet

from service.analysis.pipeline import Pipeline
from service.cli import main
from service.errors import UploadTooLarge
from service.imaging.frame import DEFAULT_LIMITS, Limits
from service.inference.engine import Engine
from service.inference.package import load_package
from service.jobs import JobError
from service.jobs.listing import FileEntry
from service.jobs.outputs import one_run
from service.jobs.tables.export import export_table, run_locally
from service.jobs.tables.plan import ShardSize, make_shards
from service.jobs.tables.shard import TableJob
from service.jobs.tables.storage import RemoteStorage, open_storage
from tests.support import dicom_objects as dicoms
from tests.support.images import speckle
from tests.support.paths import ROOT
from tests.support.phantom_package import PLANES, Phantom
from tests.support.table_inputs import part_paths, read_table, write_stills
from tests.support.waiting import eventually

SIZE = ShardSize(files=4, bytes=2**20)
FRAMES = 20 + 6 + 2


@pytest.fixture
def job(tmp_path: Path, out: Path, phantom_folder: Path) -> TableJob:
    return TableJob(str(write_stills(tmp_path / "in", 20)), str(out), phantom_folder, 2)


def test_each_frame_has_a_row_with_the_scores_of_the_model(job: TableJob, tmp_path: Path, out: Path) -> None:
    counts = export_table(job, DEFAULT_LIMITS, SIZE)
    assert (counts.frames, counts.refused) == (FRAMES, 2)
    rows = read_table(out).to_pylist()
    assert len({(row["file"], row["frame"]) for row in rows}) == len(rows) == FRAMES
    pipeline = Pipeline(Engine(load_package(job.model)), DEFAULT_LIMITS)
    for row in rows:
        if row["problem"] is not None:
            continue
        result = pipeline.classify((tmp_path / "in" / row["file"]).read_bytes(), index=row["frame"])
        probabilities = [row[f"probability_{plane}"] for plane in PLANES]
        assert probabilities == pytest.approx(result.scores.probabilities.tolist(), abs=1e-5)
        assert row["plane"] == PLANES[probabilities.index(max(probabilities))]
        assert row["ood_score"] == pytest.approx(result.scores.ood_score)
        assert row["model_sha256"] == pipeline.engine.package.sha256
        assert row["frames"] == (6 if row["file"] == "loop.webp" else 1)
    assert [row["frame"] for row in rows if row["file"] == "loop.webp"] == [0, 1, 2, 3, 4, 5]


def test_a_refused_file_is_a_row_with_its_problem(job: TableJob, out: Path) -> None:
    export_table(job, DEFAULT_LIMITS, SIZE)
    refused = {row["file"]: row for row in read_table(out).to_pylist() if row["problem"]}
    assert {name: row["problem"] for name, row in refused.items()} == {
        "damaged.png": "unreadable-frame",
        "empty.png": "empty-upload",
    }
    assert all(row["detail"] and row["plane"] is None for row in refused.values())


def test_abstention_has_its_columns(tmp_path: Path, out: Path) -> None:
    model = Phantom(min_probability=1.0).write(tmp_path / "model")
    job = TableJob(str(write_stills(tmp_path / "in", 2)), str(out), model, 1)
    assert export_table(job, DEFAULT_LIMITS, SIZE).abstained == 8
    rows = [row for row in read_table(out).to_pylist() if row["problem"] is None]
    assert {(row["abstain"], row["abstain_reason"]) for row in rows} == {(True, "uncertain")}


def test_a_loop_has_its_times(tmp_path: Path, out: Path, phantom_folder: Path) -> None:
    source = write_stills(tmp_path / "in", 1)
    (source / "loop.dcm").write_bytes(dicoms.native([speckle(seed=seed) for seed in range(3)], FrameTime="33.3"))
    export_table(TableJob(str(source), str(out), phantom_folder, 1), DEFAULT_LIMITS, SIZE)
    rows = read_table(out).to_pylist()
    assert [row["seconds"] for row in rows if row["file"] == "loop.dcm"] == [0, 0.033, 0.067]
    assert {row["seconds"] for row in rows if row["frames"] == 1} == {None}


@pytest.mark.slow
def test_a_killed_job_continues_without_a_duplicate_row(job: TableJob, tmp_path: Path, out: Path) -> None:
    source = write_stills(tmp_path / "in", 400)
    command = [sys.executable, "-m", "service.cli", "table", str(source), job.out, "--model", str(job.model)]
    command += ["--shard-files", "4"]
    for wanted in (5, 20):
        process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL, process_group=0)
        eventually(lambda: len(part_paths(out)) >= wanted or process.poll() is not None)  # noqa: B023
        os.killpg(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    before = {path: path.stat().st_mtime_ns for path in part_paths(out)}
    assert subprocess.run(command, cwd=ROOT, stderr=subprocess.DEVNULL, check=False).returncode == 1
    assert before == {path: path.stat().st_mtime_ns for path in before}
    assert not list(out.rglob(".*"))
    uninterrupted = TableJob(str(source), str(tmp_path / "uninterrupted"), job.model, 2)
    export_table(uninterrupted, DEFAULT_LIMITS, ShardSize(4, 256 * 2**20))
    assert read_table(out).equals(read_table(tmp_path / "uninterrupted"))


def test_a_damaged_part_is_written_again(job: TableJob, out: Path) -> None:
    export_table(job, DEFAULT_LIMITS, SIZE)
    table = read_table(out)
    part = part_paths(out)[0]
    part.write_bytes(part.read_bytes()[:-50])
    export_table(job, DEFAULT_LIMITS, SIZE)
    assert read_table(out).equals(table)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("source", "files of the source"),
        ("model", "another model"),
        ("code", "another version of the program"),
        ("limits", "MAX_FRAME_PIXELS"),
        ("size", "shard"),
    ],
)
def test_a_job_that_differs_is_refused(
    job: TableJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str, message: str
) -> None:
    export_table(job, DEFAULT_LIMITS, SIZE)
    if change == "source":
        (tmp_path / "in" / "one-more.png").write_bytes(b"")
    if change == "code":
        monkeypatch.setattr("service.jobs.journal.decision_digest", lambda: "another digest")
    model = Phantom(temperature=0.7).write(tmp_path / "other") if change == "model" else job.model
    limits = Limits(max_pixels=1000) if change == "limits" else DEFAULT_LIMITS
    size = ShardSize(5, 2**20) if change == "size" else SIZE
    with pytest.raises(JobError, match=message):
        export_table(TableJob(job.source, job.out, model, 1), limits, size)


def test_the_first_run_chooses_the_precision_for_every_machine(
    job: TableJob, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.inference.precision.has_int8_instruction", lambda: True)
    both = Phantom(int8=Phantom(temperature=2.0)).write(tmp_path / "both")
    first = replace(job, model=both, precision="int8")
    export_table(first, DEFAULT_LIMITS, SIZE)
    assert set(read_table(out)["model_precision"].to_pylist()) == {"int8"}
    table, part = read_table(out), part_paths(out)[0]
    part.unlink()
    number = int(part.name.split("-")[1])
    list(run_locally(replace(first, precision="float32"), [number]))  # as another machine works on a shard
    assert part.exists()
    assert read_table(out).equals(table)
    with pytest.raises(JobError, match="FETAL_PLANES_PRECISION=int8"):
        export_table(replace(first, precision="float32"), DEFAULT_LIMITS, SIZE)


def test_a_folder_with_other_files_is_left_alone(job: TableJob, out: Path) -> None:
    out.mkdir()
    (out / "thesis.tex").write_text("years of work")
    with pytest.raises(JobError, match="belong to no table"):
        export_table(job, DEFAULT_LIMITS, SIZE)


def test_a_table_inside_the_source_is_refused(job: TableJob) -> None:
    with pytest.raises(JobError, match="must not lie in SOURCE"):
        export_table(TableJob(job.source, f"{job.source}/out", job.model, 1), DEFAULT_LIMITS, SIZE)


def test_other_file_systems_give_the_same_table(job: TableJob, tmp_path: Path, out: Path) -> None:
    import fsspec

    export_table(job, DEFAULT_LIMITS, SIZE)
    memory = fsspec.filesystem("memory")
    memory.put(job.source, "/store/in", recursive=True)
    export_table(TableJob("memory://store/in", "memory://store/out", job.model, 2), DEFAULT_LIMITS, SIZE)
    memory.get("/store/out", str(tmp_path / "fetched"), recursive=True)
    assert read_table(tmp_path / "fetched").equals(read_table(out))
    same_folders = TableJob(f"file://{job.source}", f"file://{job.out}", job.model, 2)
    assert export_table(same_folders, DEFAULT_LIMITS, SIZE).frames == FRAMES


def test_a_remote_file_over_the_limit_is_not_fetched(tmp_path: Path) -> None:
    (tmp_path / "long").write_bytes(bytes(5000))
    storage = RemoteStorage(fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem()), "")
    with pytest.raises(UploadTooLarge, match="5000 bytes"):
        storage.source_file(FileEntry("long", 5000, 0), 4096).start()


def test_shards_are_bounded_in_files_and_in_bytes() -> None:
    entries = [FileEntry(str(number), size, 0) for number, size in enumerate((1, 1, 1, 9, 20, 1))]
    shards = [[entry.size for entry in shard] for shard in make_shards(entries, ShardSize(2, 10))]
    assert shards == [[1, 1], [1, 9], [20], [1]]


def test_the_listing_has_one_row_group_per_shard(job: TableJob, out: Path) -> None:
    export_table(job, DEFAULT_LIMITS, SIZE)
    listing = parquet.ParquetFile(out / "_listing.parquet")
    assert listing.num_row_groups == len(part_paths(out)) == 6
    assert listing.metadata.num_rows == 23


def test_a_wrong_folder_is_reported(out: Path, phantom_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = ["--model", str(phantom_folder)]
    assert main(["table", str(out / "absent"), str(out), *model]) == 2
    assert "cannot be listed" in capsys.readouterr().err
    assert main(["table", "nowhere://x", str(out), *model]) == 2
    assert "cannot be opened" in capsys.readouterr().err


def test_companions_are_counted_and_listed(job: TableJob, tmp_path: Path, out: Path) -> None:
    (tmp_path / "in" / "ward1" / "README").write_text("text")
    (tmp_path / "in" / "ward2" / "Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")
    (tmp_path / "in" / "link").symlink_to(tmp_path)
    for _ in range(2):
        assert export_table(job, DEFAULT_LIMITS, SIZE).skipped == 4
        summary = json.loads((out / "_summary.json").read_text())
        assert [each["file"] for each in summary["skipped_files"]] == [
            ".hidden", "link", "ward1/README", "ward2/Thumbs.db"
        ]  # fmt: skip
        assert len(read_table(out)) == FRAMES


def test_an_empty_source_is_refused(tmp_path: Path, out: Path, phantom_folder: Path) -> None:
    (tmp_path / "in").mkdir()
    job = TableJob(str(tmp_path / "in"), str(out), phantom_folder, 1)
    with pytest.raises(JobError, match="has no files"):
        export_table(job, DEFAULT_LIMITS, SIZE)
    write_stills(tmp_path / "in", 1)
    assert export_table(job, DEFAULT_LIMITS, SIZE).frames == 9


def test_a_second_export_at_the_same_time_is_refused(job: TableJob, out: Path) -> None:
    out.mkdir()
    with one_run(out), pytest.raises(JobError, match="another run"):
        export_table(job, DEFAULT_LIMITS, SIZE)
    assert export_table(job, DEFAULT_LIMITS, SIZE).frames == FRAMES


def test_a_path_and_its_url_are_the_same_folder(tmp_path: Path) -> None:
    assert open_storage(str(tmp_path)).root == open_storage(f"file://{tmp_path}").root == tmp_path
