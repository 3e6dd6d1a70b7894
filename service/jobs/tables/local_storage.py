"""The folders of this machine that a table is read from and written to, whatever bytes their names have."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TypeVar

from service.jobs import JobError
from service.jobs.files import SourceFile
from service.jobs.listing import FileEntry, walk_folder
from service.jobs.outputs import delete_drafts, one_run, whole_file

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class LocalStorage:
    """A folder on this machine. Arrow would refuse a path that is not UTF-8, so Python opens its files."""

    root: Path

    def inside(self, other: object) -> bool:
        """Return whether this folder is `other`, or lies in it."""
        return isinstance(other, LocalStorage) and self.root.is_relative_to(other.root)

    def exclusive(self) -> AbstractContextManager[None]:
        """Keep other exports out of the folder; raises `JobError` if one has it."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            return one_run(self.root)
        except OSError as error:
            raise self._cannot_write("", error) from error

    def walk(self) -> Iterator[FileEntry]:
        """Yield every file, in the order of names; raises `JobError`."""
        try:
            yield from walk_folder(self.root)
        except OSError as error:
            raise JobError(f"{self.root} cannot be listed: {error.strerror}") from error

    def source_file(self, entry: FileEntry, max_bytes: int) -> SourceFile:
        """Return a file that opens when it is first read."""
        return SourceFile.below(self.root, entry.file, max_bytes)

    def has_foreign_files(self) -> bool:
        """Return whether the folder holds anything whose name does not begin with `_` or a dot."""
        return self.root.is_dir() and any(not each.name.startswith(("_", ".")) for each in self.root.iterdir())

    def delete_drafts(self) -> None:
        """Delete the drafts that killed runs left."""
        for folder in (self.root, *self.root.glob("batch=*")):
            delete_drafts(folder)

    def path(self, name: str) -> str:
        """Return the path of a file."""
        return str(self.root / name)

    def has(self, name: str) -> bool:
        """Return whether the folder has this file."""
        return (self.root / name).is_file()

    def read(self, name: str) -> bytes:
        """Return the bytes of a file; raises `OSError`."""
        return (self.root / name).read_bytes()

    def open(self, name: str) -> IO[bytes]:
        """Open a file for random access; raises `OSError`."""
        return (self.root / name).open("rb")

    def write(self, name: str, fill: Callable[[IO[bytes]], T]) -> T:
        """Write a file through `fill`, and return what it returns; the file appears whole. Raises `JobError`."""
        path = self.root / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with whole_file(path) as stream:
                return fill(stream)
        except OSError as error:
            raise self._cannot_write(name, error) from error

    def _cannot_write(self, name: str, error: OSError) -> JobError:
        return JobError(
            f"{self.path(name)} cannot be written: {error.strerror}; run the same command again to continue"
        )
