"""The walk that every job shares, and what is opened."""

import os
import socket
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.imaging.files.local_file import open_regular
from service.jobs.listing import FileEntry, FolderEntry, walk, walk_folder
from service.schemas.file_names import local_path

HIDDEN = "its name is hidden"


def test_the_walk_is_in_order_of_names_and_marks_hidden_names() -> None:
    folders = {
        "": [FolderEntry("b", True), FolderEntry("a.png", False, 1, 2), FolderEntry(".git", True)],
        "b": [FolderEntry("z.png", False, 3, 4), FolderEntry(".x", False), FolderEntry("c", True)],
        "b/c": [FolderEntry("y.png", False, 5, 6)],
    }
    assert list(walk(folders.__getitem__)) == [
        FileEntry(".git", 0, 0, HIDDEN), FileEntry("a.png", 1, 2), FileEntry("b/.x", 0, 0, HIDDEN),
        FileEntry("b/c/y.png", 5, 6), FileEntry("b/z.png", 3, 4),
    ]  # fmt: skip


def test_folders_of_the_system_are_not_entered() -> None:
    folders = {"": [FolderEntry("@eaDir", True), FolderEntry("__MACOSX", True), FolderEntry("lost+found", False)]}
    assert list(walk(folders.__getitem__)) == [
        FileEntry("@eaDir", 0, 0, "it is a folder of the system"),
        FileEntry("__MACOSX", 0, 0, "it is a folder of the system"),
        FileEntry("lost+found", 0, 0),
    ]


def test_only_regular_files_and_links_to_them_are_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "frame").write_bytes(b"x")
    (tmp_path / "circle").symlink_to(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path / "folder" / "frame")
    (tmp_path / "nowhere").symlink_to(tmp_path / "absent")
    (tmp_path / "zero").symlink_to("/dev/zero")
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        monkeypatch.chdir(tmp_path)  # the path of a socket is short
        listening.bind("socket")
        entries = {entry.file: entry.skipped for entry in walk_folder(tmp_path)}
    assert {name for name, skipped in entries.items() if skipped is None} == {"folder/frame", "link"}
    assert entries["circle"] == "it is a link to a folder"
    assert entries["nowhere"] == "it leads nowhere: No such file or directory"
    assert entries["pipe"] == entries["socket"] == entries["zero"] == "it is not a regular file"


NAMES = st.binary(min_size=1, max_size=255).map(lambda name: name.replace(b"/", b"_").replace(b"\0", b"_"))


@given(st.sets(NAMES.filter(lambda name: not name.startswith(b".")), max_size=8))
def test_every_name_is_listed_once_and_leads_to_its_file(names: set[bytes]) -> None:
    with TemporaryDirectory() as folder:
        for name in names:
            Path(folder, os.fsdecode(name)).write_bytes(name)
        found = [entry.file for entry in walk_folder(Path(folder)) if entry.skipped is None]
        assert len(set(found)) == len(found) == len(names)
        assert {Path(folder, local_path(text)).read_bytes() for text in found} == names


@pytest.mark.parametrize("name", ["pipe", "zero", "."])
def test_nothing_but_a_regular_file_is_opened(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / "pipe")  # to open it would wait for a writer
    (tmp_path / "zero").symlink_to("/dev/zero")
    with pytest.raises(OSError, match="not a regular file"):
        open_regular(tmp_path / name)


def test_a_folder_that_cannot_be_listed_is_named() -> None:
    def list_folder(below: str) -> list[FolderEntry]:
        if below:
            raise PermissionError
        return [FolderEntry("locked", True), FolderEntry("open.png", False)]

    assert [entry.file for entry in walk(list_folder)] == ["locked", "open.png"]


def test_folders_may_be_nested_deeper_than_calls() -> None:
    def list_folder(below: str) -> list[FolderEntry]:
        return [FolderEntry("f", below.count("/") < 3000)]

    (entry,) = walk(list_folder)
    assert entry.file.count("/") == 3001
