"""`fetal-planes archive` on one machine: a row a frame, whatever the frame is and however often the run is killed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("pyarrow", reason="the extra `ray` is not installed")

from pyarrow import fs, parquet

from service.analysis.pipeline import Pipeline
from service.cli import main
from service.imaging.frame import DEFAULT_LIMITS, Limits
from service.inference.engine import Engine
from service.inference.package import load_package
from service.jobs.tables.listing import ShardSize, make_shards
from service.jobs.tables.plan import PlanError
from service.jobs.tables.progress import Progress
from service.jobs.tables.shard import TableJob
from service.jobs.tables.storage import Entry, Storage, StorageError, open_storage
from service.jobs.tables.table_job import export_table
from tests.support.paths import ROOT
from tests.support.phantom_package import PLANES, Phantom
from tests.system.ray.cluster import wait_until
from tests.system.ray.trees import parts_of, plant, table_of

SIZE = ShardSize(files=4, bytes=2**20)
FRAMES = 20 + 6 + 2


@pytest.fixture
def job(tmp_path: Path, phantom_folder: Path) -> TableJob:
    return TableJob(str(plant(tmp_path / "in", 20)), str(tmp_path / "out"), phantom_folder, 2)


def test_a_row_for_each_frame_with_what_the_model_says(job: TableJob, tmp_path: Path) -> None:
    counts = export_table(job, DEFAULT_LIMITS, SIZE)
    assert (counts.frames, counts.refused) == (FRAMES, 2)
    rows = table_of(tmp_path / "out").to_pylist()
    assert len({(row["source"], row["frame"]) for row in rows}) == len(rows) == FRAMES
    pipeline = Pipeline(Engine(load_package(job.model)), DEFAULT_LIMITS)
    for row in rows:
        if row["error"] is not None:
            continue
        seen = pipeline.classify((tmp_path / "in" / row["source"]).read_bytes(), index=row["frame"])
        told = [row[f"probability_{plane}"] for plane in PLANES]
        assert told == pytest.approx(seen.scores.probabilities.tolist(), abs=1e-5)
        assert row["plane"] == PLANES[told.index(max(told))]
        assert row["ood_score"] == pytest.approx(seen.scores.ood_score)
        assert row["model_sha256"] == pipeline.engine.package.sha256
        assert row["frames"] == (6 if row["source"] == "loop.webp" else 1)
    assert [row["frame"] for row in rows if row["source"] == "loop.webp"] == [0, 1, 2, 3, 4, 5]


def test_a_bad_file_is_a_row_with_its_reason(job: TableJob, tmp_path: Path) -> None:
    export_table(job, DEFAULT_LIMITS, SIZE)
    refused = {row["source"]: row for row in table_of(tmp_path / "out").to_pylist() if row["error"]}
    assert {name: row["error"] for name, row in refused.items()} == {
        "damaged.png": "unreadable-frame",
        "empty.png": "empty-upload",
    }
    assert all(row["error_reason"] and row["plane"] is None for row in refused.values())


def test_abstention_is_told(tmp_path: Path, phantom: Phantom) -> None:
    model = Phantom(min_probability=1.0).write(tmp_path / "model")
    job = TableJob(str(plant(tmp_path / "in", 2)), str(tmp_path / "out"), model, 1)
    assert export_table(job, DEFAULT_LIMITS, SIZE).abstained == 8
    rows = [row for row in table_of(tmp_path / "out").to_pylist() if row["error"] is None]
    assert {(row["abstain"], row["abstain_reason"]) for row in rows} == {(True, "uncertain")}


def test_a_run_that_was_killed_goes_on_without_a_row_twice(job: TableJob, tmp_path: Path) -> None:
    source = plant(tmp_path / "in", 400)
    command = [sys.executable, "-m", "service.cli", "archive", str(source), job.out, "--model", str(job.model)]
    command += ["--shard-files", "4"]
    for wanted in (5, 20):
        process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL, process_group=0)
        wait_until(lambda: parts_of(tmp_path / "out") >= wanted or process.poll() is not None)  # noqa: B023
        os.killpg(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("batch=*/part-*")}
    assert subprocess.run(command, cwd=ROOT, stderr=subprocess.DEVNULL, check=False).returncode == 1
    assert before == {path: path.stat().st_mtime_ns for path in before}
    assert not list((tmp_path / "out").rglob(".*"))
    straight = TableJob(str(source), str(tmp_path / "straight"), job.model, 2)
    export_table(straight, DEFAULT_LIMITS, ShardSize(4, 256 * 2**20))
    assert table_of(tmp_path / "out").equals(table_of(tmp_path / "straight"))


def test_a_part_cut_short_is_done_anew(job: TableJob, tmp_path: Path) -> None:
    export_table(job, DEFAULT_LIMITS, SIZE)
    whole = table_of(tmp_path / "out")
    part = next((tmp_path / "out").glob("batch=*/part-*"))
    part.write_bytes(part.read_bytes()[:-50])
    export_table(job, DEFAULT_LIMITS, SIZE)
    assert table_of(tmp_path / "out").equals(whole)


@pytest.mark.parametrize(
    ("change", "told"),
    [("source", "source has changed"), ("model", "another model"), ("limits", "MAX_FRAME_PIXELS"), ("size", "shard")],
)
def test_what_differs_is_not_mixed(job: TableJob, tmp_path: Path, change: str, told: str) -> None:
    export_table(job, DEFAULT_LIMITS, SIZE)
    if change == "source":
        (tmp_path / "in" / "one-more.png").write_bytes(b"")
    model = Phantom(temperature=0.7).write(tmp_path / "other") if change == "model" else job.model
    limits = Limits(max_pixels=1000) if change == "limits" else DEFAULT_LIMITS
    with pytest.raises(PlanError, match=told):
        export_table(TableJob(job.source, job.out, model, 1), limits, ShardSize(5, 2**20) if change == "size" else SIZE)


def test_a_folder_of_other_things_is_left_alone(job: TableJob, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("years of work")
    with pytest.raises(PlanError, match="no archive"):
        export_table(job, DEFAULT_LIMITS, SIZE)


def test_results_do_not_go_into_the_source(job: TableJob) -> None:
    with pytest.raises(StorageError, match="must not lie in the source"):
        export_table(TableJob(job.source, f"{job.source}/out", job.model, 1), DEFAULT_LIMITS, SIZE)


def test_other_places_than_a_disk_give_the_same_table(job: TableJob, tmp_path: Path) -> None:
    import fsspec

    export_table(job, DEFAULT_LIMITS, SIZE)
    memory = fsspec.filesystem("memory")
    memory.put(job.source, "/store/in", recursive=True)
    export_table(TableJob("memory://store/in", "memory://store/out", job.model, 2), DEFAULT_LIMITS, SIZE)
    memory.get("/store/out", str(tmp_path / "fetched"), recursive=True)
    assert table_of(tmp_path / "fetched").equals(table_of(tmp_path / "out"))
    export_table(
        TableJob(f"file://{job.source}", f"file://{job.out}", job.model, 2), DEFAULT_LIMITS, SIZE
    )  # the same place


def test_from_elsewhere_no_file_over_the_limit_is_fetched(tmp_path: Path) -> None:
    (tmp_path / "long").write_bytes(bytes(5000))
    place = Storage(fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem()), "")
    with pytest.raises(Exception, match="5000 bytes"):
        place.reader(Entry("long", 5000, 0), 4096)()


def test_shards_are_bounded_in_files_and_in_bytes() -> None:
    entries = [Entry(str(number), size, 0) for number, size in enumerate((1, 1, 1, 9, 20, 1))]
    shards = [[entry.size for entry in shard] for shard in make_shards(entries, ShardSize(2, 10))]
    assert shards == [[1, 1], [1, 9], [20], [1]]


def test_a_listing_has_a_row_group_a_shard(job: TableJob, tmp_path: Path) -> None:
    export_table(job, DEFAULT_LIMITS, SIZE)
    listing = parquet.ParquetFile(tmp_path / "out" / "_listing.parquet")
    assert listing.num_row_groups == len(list((tmp_path / "out").glob("batch=*/part-*"))) == 6
    assert listing.metadata.num_rows == 23


def test_the_command_tells_what_is_wrong_in_a_line(
    tmp_path: Path, phantom_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = ["--model", str(phantom_folder)]
    assert main(["archive", str(tmp_path / "absent"), str(tmp_path / "out"), *model]) == 2
    assert "cannot be listed" in capsys.readouterr().err
    assert main(["archive", "nowhere://x", str(tmp_path / "out"), *model]) == 2
    assert "cannot be opened" in capsys.readouterr().err


def test_progress_tells_the_time_left() -> None:
    progress = Progress(4)
    progress.add(100)
    assert "1/4 shards, 100 frames, 10.0 frames/s, 30 s left" in progress.text(10)
    assert "3 h 00 min left" in progress.text(3600)


def test_a_place_is_told_from_a_path_or_a_url(tmp_path: Path) -> None:
    assert open_storage(str(tmp_path)).root == open_storage(f"file://{tmp_path}").root == str(tmp_path)
