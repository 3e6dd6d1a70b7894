"""Outputs appear whole or not at all, also by two writers at the same time; one run at a time has a folder."""

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from service.jobs import JobError
from service.jobs.outputs import delete_drafts, one_run, whole_file, write_whole
from tests.support.paths import ROOT


def test_many_writers_leave_one_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "object.dcm"
    versions = [bytes([number]) * 200_000 for number in range(20)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda contents: write_whole(path, contents), versions * 10))
    assert path.read_bytes() in versions
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_write_leaves_the_old_file_and_no_draft(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")
    with pytest.raises(ZeroDivisionError), whole_file(path) as file:
        file.write(bytes(1 // 0))
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_longest_name_can_be_written(tmp_path: Path) -> None:
    write_whole(tmp_path / ("n" * 255), b"x")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"x"]


def test_a_link_stays_a_link_and_a_mode_stays(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")
    (tmp_path / "file").chmod(0o640)
    (tmp_path / "link").symlink_to(tmp_path / "file")
    write_whole(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_bytes() == b"new"
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640


def test_a_pipe_is_written_directly(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with ThreadPoolExecutor(1) as threads:
        read = threads.submit((tmp_path / "pipe").read_bytes)
        write_whole(tmp_path / "pipe", b"x")
        assert read.result() == b"x"
    assert (tmp_path / "pipe").is_fifo()


def test_only_our_drafts_are_deleted(tmp_path: Path) -> None:
    (tmp_path / ".film.mp4.part").write_bytes(b"a download of somebody else")
    (tmp_path / ".fetal-planes-0123.part").write_bytes(b"half an object")
    delete_drafts(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".film.mp4.part"]


def test_a_second_run_is_refused_until_the_first_ends(tmp_path: Path) -> None:
    for _ in range(2):
        with one_run(tmp_path), pytest.raises(JobError, match="another run"), one_run(tmp_path):
            pass
    assert not list(tmp_path.iterdir())


def test_the_lock_of_a_killed_run_is_taken_over(tmp_path: Path) -> None:
    program = f"""
import os, signal
from pathlib import Path
from service.jobs.outputs import one_run
with one_run(Path({str(tmp_path)!r})):
    os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False)
    assert list(tmp_path.iterdir())
    with one_run(tmp_path):
        pass


def test_many_runs_never_hold_a_folder_together(tmp_path: Path) -> None:
    held, most, done = 0, 0, threading.Barrier(4)

    def take() -> None:
        nonlocal held, most
        done.wait()
        for _ in range(300):
            try:
                with one_run(tmp_path):
                    held += 1
                    most = max(most, held)
                    held -= 1
            except JobError:
                pass

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: take(), range(4)))
    assert most == 1
