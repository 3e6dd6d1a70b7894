"""The walk that every job shares."""

import os
from pathlib import Path

from service.jobs.files import FileEntry, FolderEntry, source_files, walk


def test_the_walk_is_in_order_of_names_and_leaves_out_hidden_names() -> None:
    folders = {
        "": [FolderEntry("b", True), FolderEntry("a.png", False, 1, 2), FolderEntry(".git", True)],
        "b": [FolderEntry("z.png", False, 3, 4), FolderEntry(".x", False), FolderEntry("c", True)],
        "b/c": [FolderEntry("y.png", False, 5, 6)],
    }
    assert list(walk(folders.__getitem__)) == [
        FileEntry("a.png", 1, 2), FileEntry("b/c/y.png", 5, 6), FileEntry("b/z.png", 3, 4)
    ]  # fmt: skip


def test_a_local_walk_takes_linked_files_but_no_linked_folders_and_no_pipes(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "frame").write_bytes(b"x")
    (tmp_path / "circle").symlink_to(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path / "folder" / "frame")
    os.mkfifo(tmp_path / "pipe")  # reading it would wait forever
    assert [file.name for file in source_files(tmp_path, lambda _: False)] == ["folder/frame", "link"]
