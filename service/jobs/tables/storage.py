"""Where an archive is read from and written to: a folder, or a place in object storage; files come and go whole."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import pyarrow as pa
from pyarrow import fs

from service.errors import NotFound, UploadTooLarge
from service.imaging.dicom.scan import Data
from service.jobs.files import file_reader

# A file that is written here appears when it is whole, and not before; elsewhere it is renamed into its place.
_APPEAR_WHOLE = {"s3", "gcs", "abfs"}


class StorageError(Exception):
    """A place cannot be opened, read or written; the message says why."""


class Entry(NamedTuple):
    """A file: its path below the place, its length in bytes, and when it was last changed, in ns since 1970."""

    source: str
    size: int
    changed: int


@dataclass(frozen=True, slots=True)
class Storage:
    """A folder of some file system.

    Attributes
    ----------
    files
        The file system.
    root
        The folder's path in it, without a slash at its end.
    """

    files: Any
    root: str

    @property
    def local(self) -> bool:
        """Whether it is a folder of this machine."""
        return bool(self.files.type_name == "local")

    def inside(self, other: "Storage") -> bool:
        """Whether it is `other`, or lies in it."""
        return bool(self.files.equals(other.files)) and f"{self.root}/".startswith(f"{other.root}/")

    def walk(self, below: str = "") -> Iterator[Entry]:
        """Every file, but hidden ones, in the order of names; one folder's names are in memory at a time.

        Raises
        ------
        PlaceError
            A folder cannot be read.
        """
        try:
            found = self.files.get_file_info(fs.FileSelector(self.at(below), allow_not_found=False))
        except (OSError, UnicodeDecodeError) as error:
            raise StorageError(f"{self.at(below)} cannot be listed: {_reason(error)}") from error
        for each in sorted(found, key=lambda each: each.base_name):
            if each.base_name.startswith("."):
                continue
            source = f"{below}/{each.base_name}".lstrip("/")
            if each.type == fs.FileType.Directory:
                if not (self.local and Path(self.at(source)).is_symlink()):  # such links may go in circles
                    yield from self.walk(source)
            else:
                yield Entry(source, each.size or 0, each.mtime_ns or 0)

    def reader(self, entry: Entry, max_bytes: int) -> Callable[[], Data]:
        """What reads a file; from elsewhere than a disk it comes whole, and none longer than `max_bytes` is fetched."""
        if self.local:
            return file_reader(Path(self.at(entry.source)))

        def read() -> Data:
            if entry.size > max_bytes:
                raise UploadTooLarge(f"The file has {entry.size} bytes; the limit is {max_bytes}.")
            try:
                return self.read(entry.source)
            except OSError as error:
                raise NotFound("The file cannot be read.") from error

        return read

    def taken(self) -> bool:
        """Whether it holds anything but what this program keeps for itself, which begins with `_` or a dot."""
        found = self.files.get_file_info(fs.FileSelector(self.root, allow_not_found=True))
        return any(not each.base_name.startswith(("_", ".")) for each in found)

    def sweep(self) -> None:
        """Delete the drafts that runs left which were killed."""
        for each in self.files.get_file_info(fs.FileSelector(self.root, recursive=True)):
            if each.type == fs.FileType.File and each.base_name.startswith("."):
                self.files.delete_file(each.path)

    def at(self, name: str) -> str:
        """The path of a file."""
        return f"{self.root}/{name}" if name else self.root

    def has(self, name: str) -> bool:
        """Whether there is such a file."""
        return bool(self.files.get_file_info(self.at(name)).type == fs.FileType.File)

    def read(self, name: str) -> bytes:
        """A file's bytes; raises `OSError`."""
        with self.files.open_input_stream(self.at(name)) as stream:
            return bytes(stream.read())

    def open(self, name: str) -> pa.NativeFile:
        """A file to read from anywhere; raises `OSError`."""
        return self.files.open_input_file(self.at(name))

    def write(self, name: str, fill: Callable[[pa.NativeFile], None]) -> None:
        """Have `fill` write a file, which is there when it is whole, and not before.

        Raises
        ------
        PlaceError
            It cannot be written.
        """
        folder, _, plain = self.at(name).rpartition("/")
        direct = self.files.type_name in _APPEAR_WHOLE
        draft = self.at(name) if direct else f"{folder}/.{plain}.{uuid4().hex}"
        try:
            self.files.create_dir(folder, recursive=True)
            with self.files.open_output_stream(draft) as stream:
                fill(stream)
            if not direct:
                self.files.move(draft, self.at(name))
        except OSError as error:
            raise StorageError(f"{self.at(name)} cannot be written: {_reason(error)}") from error


def open_storage(address: str) -> Storage:
    """Open a folder by its path, or a place by its URL: of Arrow's file systems, or else of fsspec's.

    Raises
    ------
    PlaceError
        There is no such file system.
    """
    if "://" not in address:
        return Storage(fs.LocalFileSystem(), Path(address).resolve().as_posix().rstrip("/"))
    try:
        files, root = fs.FileSystem.from_uri(address)
    except (pa.ArrowInvalid, OSError) as error:
        files, root = _of_fsspec(address, error)
    return Storage(files, root.rstrip("/"))


def _of_fsspec(address: str, refusal: Exception) -> tuple[Any, str]:
    import fsspec

    try:
        files, root = fsspec.core.url_to_fs(address)
    except (ValueError, ImportError, OSError) as error:
        raise StorageError(f"{address} cannot be opened: {_reason(refusal)}; {_reason(error)}") from error
    return fs.PyFileSystem(fs.FSSpecHandler(files)), root


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error).partition("\n")[0]
