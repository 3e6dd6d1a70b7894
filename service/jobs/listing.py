"""The listing of a folder: one walk for every kind of storage; on this machine only regular files are opened."""

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import lru_cache, partial
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from service.errors import Problem
from service.imaging.files.archive import Member, list_members, open_path
from service.imaging.files.local_file import LocalFile
from service.schemas.file_names import local_path, path_text

ZIP = ".zip"
MAX_MEMBERS = 100_000
"""Files of an archive on this machine."""

# Copies, thumbnails and waste of macOS, of storage devices, of Windows and of notebooks.
_SYSTEM_FOLDERS = {"__MACOSX", "@eaDir", "#recycle", "$RECYCLE.BIN", "System Volume Information", "lost+found"}


class FolderEntry(NamedTuple):
    """An entry of a listing: its name as `name_text` returns it, size in bytes, time of the last change in ns."""

    name: str
    is_folder: bool
    size: int = 0
    modified_ns: int = 0
    skipped: str | None = None


class FileEntry(NamedTuple):
    """A file found by `walk`.

    Attributes
    ----------
    file
        Path below the start, as `name_text` returns it.
    size, modified_ns
        Size in bytes; time of the last change in ns since 1970.
    skipped
        Why nobody must read it; None for a regular file without a hidden name.
    """

    file: str
    size: int
    modified_ns: int
    skipped: str | None = None


def walk(list_folder: Callable[[str], Iterable[FolderEntry]]) -> Iterator[FileEntry]:
    """Yield every file in a tree, in the order of names; nothing below a hidden folder or one of the system.

    Parameters
    ----------
    list_folder
        Lists one folder, given by its path below the start. Only one branch of the tree is in memory at a time. A
        folder below the start for which it raises `OSError` is yielded as a file.
    """
    # A stack rather than recursion: folders can be nested deeper than Python's calls.
    branches = [("", iter(sorted(list_folder(""))))]
    while branches:
        below, entries = branches[-1]
        entry = next(entries, None)
        if entry is None:
            branches.pop()
            continue
        path = f"{below}/{entry.name}".lstrip("/")
        if entry.name.startswith("."):
            yield FileEntry(path, entry.size, entry.modified_ns, "its name is hidden")
        elif entry.is_folder and entry.name in _SYSTEM_FOLDERS:
            yield FileEntry(path, 0, 0, "it is a folder of the system")
        elif entry.is_folder:
            try:
                branches.append((path, iter(sorted(list_folder(path)))))
            except OSError:
                yield FileEntry(path, 0, 0)  # to read it says why the folder cannot be listed
        else:
            yield FileEntry(path, entry.size, entry.modified_ns, entry.skipped)


def walk_folder(root: Path) -> Iterator[FileEntry]:
    """Walk a folder of this machine, and its ZIP archives like folders; raises `OSError` if one cannot be listed."""
    for entry in walk(partial(list_local, root)):
        if entry.skipped is None and entry.file.lower().endswith(ZIP):
            yield from _walk_archive(root, entry)
        else:
            yield entry


def _walk_archive(root: Path, entry: FileEntry) -> Iterator[FileEntry]:
    try:
        members = archive_members(root / local_path(entry.file), entry.modified_ns)
    except (Problem, OSError):
        yield entry  # to read it says why
        return
    for member in members.values():
        yield FileEntry(f"{entry.file}/{member.name}", member.size, entry.modified_ns, skip_reason(member.name))


@lru_cache(maxsize=4)
def archive_members(path: Path, _modified_ns: int) -> dict[str, Member]:
    """Return the files of an archive by name; raises `OSError` and what `list_members` raises."""
    return {member.name: member for member in list_members(open_path(path), MAX_MEMBERS)}


def skip_reason(path: str) -> str | None:
    """Return why nobody must read a file of an archive, by the rules of `walk`; None for an ordinary one."""
    parts = PurePosixPath(path).parts
    if any(part.startswith(".") and part not in (".", "..") for part in parts):
        return "its name is hidden"
    return "it is in a folder of the system" if _SYSTEM_FOLDERS.intersection(parts[:-1]) else None


def find_source(root: Path, name: str) -> LocalFile | Member:
    """Return a file that `walk_folder` named; of an archive, only what its directory lists can be named."""
    at = name.lower().find(f"{ZIP}/")
    while at >= 0:
        path = root / local_path(name[: at + len(ZIP)])
        with suppress(OSError, Problem):
            members = archive_members(path, path.stat().st_mtime_ns) if path.is_file() else {}
            if member := members.get(name[at + len(ZIP) + 1 :]):
                return member
        at = name.lower().find(f"{ZIP}/", at + 1)
    return LocalFile(root / local_path(name))


def list_local(root: Path, below: str) -> Iterator[FolderEntry]:
    """List one folder below a folder of this machine; raises `OSError`."""
    with os.scandir(root / local_path(below)) as entries:
        for entry in entries:
            yield _describe(entry)


def _describe(entry: os.DirEntry[str]) -> FolderEntry:
    name, skipped = path_text(entry.name), None
    if entry.is_dir(follow_symlinks=False):
        return FolderEntry(name, is_folder=True)
    if entry.is_dir():
        return FolderEntry(name, False, skipped="it is a link to a folder")  # such links may form circles
    try:
        found = entry.stat()
    except OSError as error:
        return FolderEntry(name, False, skipped=f"it leads nowhere: {error.strerror}")
    if not stat.S_ISREG(found.st_mode):
        skipped = "it is not a regular file"
    return FolderEntry(name, False, found.st_size, found.st_mtime_ns, skipped)
