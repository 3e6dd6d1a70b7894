"""The files of a job: one walk for every kind of storage, and files that open when a worker first reads them."""

import mmap
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from threading import Lock
from time import perf_counter
from typing import NamedTuple

from service.errors import NotFound
from service.imaging.decode import open_frames
from service.imaging.dicom.scan import Data, is_dicom
from service.imaging.frame import Frame, Frames, Limits

_HEAD = 256  # bytes: enough to recognize DICOM


class FolderEntry(NamedTuple):
    """A file or folder in a listing: size in bytes, time of the last change in ns since 1970."""

    name: str
    is_folder: bool
    size: int = 0
    modified_ns: int = 0


class FileEntry(NamedTuple):
    """A file found by `walk`: path below the start, size in bytes, time of the last change in ns since 1970."""

    file: str
    size: int
    modified_ns: int


def walk(list_folder: Callable[[str], Iterable[FolderEntry]], below: str = "") -> Iterator[FileEntry]:
    """Yield every file in a tree, in the order of names; hidden files and folders are left out.

    Parameters
    ----------
    list_folder
        Lists one folder, given by its path below the start. Only one branch of the tree is in memory at a time.
    below
        Path of the folder to begin with.
    """
    for entry in sorted(list_folder(below)):
        if entry.name.startswith("."):
            continue
        path = f"{below}/{entry.name}".lstrip("/")
        if entry.is_folder:
            yield from walk(list_folder, path)
        else:
            yield FileEntry(path, entry.size, entry.modified_ns)


@dataclass(slots=True, eq=False)
class SourceFile:
    """A file of a job. The first read opens it; several threads may read at once.

    Attributes
    ----------
    name
        Name of the file in the results.
    load
        Returns the bytes, for a DICOM file on disk as a memory map, so that a long cine is never in memory as a whole.
        May raise a `Problem`.
    load_s
        Seconds that `load` took.
    """

    name: str
    load: Callable[[], Data]
    load_s: float = 0.0
    _frames: Frames | None = field(default=None, init=False)
    _lock: Lock = field(default_factory=Lock, init=False)

    def read(self, index: int, limits: Limits) -> Frame:
        """Return frame `index`; raises what `load`, `open_frames` and `Frames.read` raise."""
        with self._lock:
            if self._frames is None:
                data = self._load()
                self._frames = open_frames(data, _limits_for(limits, data))
            # Only DICOM frames can be decoded side by side; the other readers step from frame to frame.
            if self._frames.format != "dicom":
                return self._frames.read(index)
        return self._frames.read(index)

    def _load(self) -> Data:
        started = perf_counter()
        try:
            return self.load()
        finally:
            self.load_s += perf_counter() - started


def source_files(folder: Path, skip: Callable[[Path], bool]) -> Iterator[SourceFile]:
    """Yield the files below a local folder, except hidden files and those for which `skip` returns true."""
    for entry in walk(partial(_list_local, folder)):
        path = folder / entry.file
        if not skip(path):
            yield SourceFile(entry.file, file_reader(path))


def file_reader(path: Path) -> Callable[[], Data]:
    """Return a function that reads a local file: a memory map of a DICOM file, the bytes of any other."""

    def read() -> Data:
        try:
            with path.open("rb") as file:
                if is_dicom(file.read(_HEAD)):
                    return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            return path.read_bytes()
        except OSError as error:
            raise NotFound(f"The file cannot be read: {error.strerror}.") from error

    return read


def _list_local(root: Path, below: str) -> Iterator[FolderEntry]:
    # Like `Path.rglob`: folders without permission and links to folders (which may form circles) are left out.
    with suppress(PermissionError), os.scandir(root / below) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield FolderEntry(entry.name, is_folder=True)
            elif entry.is_file():
                yield FolderEntry(entry.name, is_folder=False)


def _limits_for(limits: Limits, data: Data) -> Limits:
    """Return the limits without the one on bytes for a memory map: its length costs no memory."""
    return limits if isinstance(data, bytes) else replace(limits, max_bytes=max(limits.max_bytes, len(data)))
