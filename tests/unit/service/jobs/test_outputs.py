"""A file is written whole or not at all, also by two workers at the same time."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from service.jobs.journal import write_whole


def test_two_workers_can_write_the_same_file_at_the_same_time(tmp_path: Path) -> None:
    path, contents = tmp_path / "object.dcm", bytes(200_000)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: write_whole(path, contents), range(200)))
    assert path.read_bytes() == contents
    assert list(tmp_path.iterdir()) == [path]
