"""The folders that a table is read from and written to, on disk or in object storage; files appear whole."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import fsspec
import pyarrow as pa
from pyarrow import fs

from service.errors import NotFound, UploadTooLarge
from service.imaging.dicom.scan import Data
from service.jobs import JobError
from service.jobs.files import FileEntry, FolderEntry, file_reader, walk

T = TypeVar("T")

# Object stores show a file when it is complete. Everywhere else a draft is written and then renamed.
_ATOMIC_WRITES = {"s3", "gcs", "abfs"}


@dataclass(frozen=True, slots=True)
class Storage:
    """A folder in a file system of Arrow."""

    files: Any
    root: str  # without a slash at the end

    @property
    def local(self) -> bool:
        """Whether the folder is on this machine."""
        return bool(self.files.type_name == "local")

    def inside(self, other: "Storage") -> bool:
        """Return whether this folder is `other`, or lies in it."""
        return bool(self.files.equals(other.files)) and f"{self.root}/".startswith(f"{other.root}/")

    def walk(self) -> Iterator[FileEntry]:
        """Yield every file except hidden ones, in the order of names; raises `JobError`."""
        return walk(self._list)

    def _list(self, below: str) -> Iterator[FolderEntry]:
        try:
            found = self.files.get_file_info(fs.FileSelector(self.path(below), allow_not_found=False))
        except (OSError, UnicodeDecodeError) as error:
            raise JobError(f"{self.path(below)} cannot be listed: {_reason(error)}") from error
        for each in found:
            if each.type != fs.FileType.Directory:
                yield FolderEntry(each.base_name, False, each.size or 0, each.mtime_ns or 0)
            elif not (self.local and Path(each.path).is_symlink()):  # links to folders may form circles
                yield FolderEntry(each.base_name, True)

    def reader(self, entry: FileEntry, max_bytes: int) -> Callable[[], Data]:
        """Return a function that reads a file. A remote file is fetched as a whole, up to `max_bytes`."""
        if self.local:
            return file_reader(Path(self.path(entry.file)))

        def read() -> Data:
            if entry.size > max_bytes:
                raise UploadTooLarge(f"The file has {entry.size} bytes; the limit is {max_bytes}.")
            try:
                return self.read(entry.file)
            except OSError as error:
                raise NotFound("The file cannot be read.") from error

        return read

    def has_foreign_files(self) -> bool:
        """Return whether the folder holds anything whose name does not begin with `_` or a dot."""
        found = self.files.get_file_info(fs.FileSelector(self.root, allow_not_found=True))
        return any(not each.base_name.startswith(("_", ".")) for each in found)

    def delete_drafts(self) -> None:
        """Delete the drafts that killed runs left."""
        for each in self.files.get_file_info(fs.FileSelector(self.root, recursive=True)):
            if each.type == fs.FileType.File and each.base_name.startswith("."):
                self.files.delete_file(each.path)

    def path(self, name: str) -> str:
        """Return the path of a file in the file system."""
        return f"{self.root}/{name}" if name else self.root

    def has(self, name: str) -> bool:
        """Return whether the folder has this file."""
        return bool(self.files.get_file_info(self.path(name)).type == fs.FileType.File)

    def read(self, name: str) -> bytes:
        """Return the bytes of a file; raises `OSError`."""
        with self.files.open_input_stream(self.path(name)) as stream:
            return bytes(stream.read())

    def open(self, name: str) -> pa.NativeFile:
        """Open a file for random access; raises `OSError`."""
        return self.files.open_input_file(self.path(name))

    def write(self, name: str, fill: Callable[[pa.NativeFile], T]) -> T:
        """Write a file through `fill`, and return what it returns; the file appears whole. Raises `JobError`."""
        folder, _, base_name = self.path(name).rpartition("/")
        direct = self.files.type_name in _ATOMIC_WRITES
        draft = self.path(name) if direct else f"{folder}/.{base_name}.{uuid4().hex}"
        try:
            self.files.create_dir(folder, recursive=True)
            with self.files.open_output_stream(draft) as stream:
                result = fill(stream)
            if not direct:
                self.files.move(draft, self.path(name))
            return result
        except OSError as error:
            raise JobError(f"{self.path(name)} cannot be written: {_reason(error)}") from error


def open_storage(address: str) -> Storage:
    """Open a folder by its path or URL, with the file systems of Arrow, otherwise of fsspec; raises `JobError`."""
    if "://" not in address:
        return Storage(fs.LocalFileSystem(), Path(address).resolve().as_posix().rstrip("/"))
    try:
        files, root = fs.FileSystem.from_uri(address)
    except (pa.ArrowInvalid, OSError) as arrow_error:
        try:
            handled, root = fsspec.core.url_to_fs(address)
        except (ValueError, ImportError, OSError) as error:
            raise JobError(f"{address} cannot be opened: {_reason(arrow_error)}; {_reason(error)}") from error
        files = fs.PyFileSystem(fs.FSSpecHandler(handled))
    return Storage(files, root.rstrip("/"))


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error).partition("\n")[0]
