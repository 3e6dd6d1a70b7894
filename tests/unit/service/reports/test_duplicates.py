"""Files with the same bytes, found by size and hash, against a plain comparison."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.analysis.batch import File
from service.errors import NotFound
from service.imaging.files.local_file import LazyFile, LocalFile, Upload
from service.reports.duplicates import find_duplicates

T = TypeVar("T")


async def _value(function: Callable[[], T]) -> T:
    return function()


def run(function: Callable[[], T], /) -> Awaitable[T]:
    return _value(function)


def duplicates(uploads: list[Callable[[], Upload]]) -> list[tuple[int, int]]:
    files = [File(number, f"{number}", read) for number, read in enumerate(uploads)]
    return [(each.source.file, each.same_as.file) for each in asyncio.run(find_duplicates(files, run))]


@given(st.lists(st.sampled_from([b"", b"a", b"b", b"aa", b"ab"])))
def test_every_repetition_is_found_with_its_first(contents: list[bytes]) -> None:
    firsts = [contents.index(each) for each in contents]
    expected = [(number, first) for number, first in enumerate(firsts) if number != first]
    assert duplicates([partial(bytes, each) for each in contents]) == expected


def test_files_of_archives_are_read_only_where_the_size_is_that_of_another() -> None:
    read: list[bytes] = []

    def lazy(content: bytes) -> Upload:
        return LazyFile(len(content), lambda: read.append(content) or content)  # type: ignore[func-returns-value]

    contents = [b"one", b"other", b"two", b"one"]
    assert duplicates([partial(lazy, each) for each in contents]) == [(3, 0)]
    assert b"other" not in read


def test_files_on_disk_and_files_that_cannot_be_read(tmp_path: Path) -> None:
    for name, content in (("a", b"one"), ("b", b"two"), ("c", b"one")):
        (tmp_path / name).write_bytes(content)

    def refuse() -> Upload:
        raise NotFound("The file cannot be read.")

    paths = [partial(LocalFile, tmp_path / name) for name in ("a", "missing", "b", "c")]
    assert duplicates([*paths, refuse]) == [(3, 0)]


def test_a_file_of_a_size_of_its_own_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_bytes(b"one")
    (tmp_path / "b").write_bytes(b"other")
    monkeypatch.setattr(LocalFile, "open", lambda self: pytest.fail("read"))
    assert duplicates([partial(LocalFile, tmp_path / name) for name in ("a", "b")]) == []


@pytest.mark.parametrize(("size", "jobs"), [(1, 3), (4 * 2**20, 600)])
def test_small_files_are_hashed_together_and_large_ones_alone(size: int, jobs: int) -> None:
    ran: list[int] = []

    def counted(function: Callable[[], T], /) -> Awaitable[T]:
        ran.append(1)
        return _value(function)

    content = bytes(size)
    files = [File(number, f"{number}", lambda: content) for number in range(600)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("service.reports.duplicates._hash", len)  # quick
        found = asyncio.run(find_duplicates(files, counted))
    assert [each.source.file for each in found] == list(range(1, 600))
    assert len(ran) == 1 + jobs  # the first compares the sizes
