"""The folders that a table is read from and written to, on disk or in object storage; files appear whole."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeVar
from uuid import uuid4

import fsspec
import pyarrow as pa
from pyarrow import fs

from service.errors import NotFound, UploadTooLarge
from service.jobs import JobError
from service.jobs.files import SourceFile
from service.jobs.listing import FileEntry, FolderEntry, walk
from service.jobs.tables.local_storage import LocalStorage
from service.schemas.file_names import name_bytes, name_text

T = TypeVar("T")

# Object stores show a file when it is complete. Everywhere else a draft is written and then renamed.
_ATOMIC_WRITES = {"s3", "gcs", "abfs"}


@dataclass(frozen=True, slots=True)
class RemoteStorage:
    """A folder in a file system of Arrow, with the methods of `LocalStorage`."""

    files: Any
    root: str  # without a slash at the end

    def inside(self, other: "Storage") -> bool:
        """Return whether this folder is `other`, or lies in it."""
        if isinstance(other, LocalStorage):
            return False
        return bool(self.files.equals(other.files)) and f"{self.root}/".startswith(f"{other.root}/")

    def exclusive(self) -> AbstractContextManager[None]:
        """Do nothing: object storage has no locks."""
        return nullcontext()

    def walk(self) -> Iterator[FileEntry]:
        """Yield every file, in the order of names; raises `JobError`."""
        return walk(self._list)

    def _list(self, below: str) -> Iterator[FolderEntry]:
        folder = self.path(_name(below))
        try:
            found = self.files.get_file_info(fs.FileSelector(folder, allow_not_found=False))
        except (OSError, UnicodeDecodeError) as error:
            raise JobError(f"{folder} cannot be listed: {_reason(error)}") from error
        for each in found:
            is_folder = each.type == fs.FileType.Directory
            yield FolderEntry(name_text(each.base_name.encode()), is_folder, each.size or 0, each.mtime_ns or 0)

    def source_file(self, entry: FileEntry, max_bytes: int) -> SourceFile:
        """Return a file that is fetched as a whole, up to `max_bytes`."""

        def load() -> bytes:
            if entry.size > max_bytes:
                raise UploadTooLarge(f"The file has {entry.size} bytes; the limit is {max_bytes}.")
            try:
                return self.read(_name(entry.file))
            except OSError as error:
                raise NotFound("The file cannot be read.") from error

        return SourceFile(entry.file, load)

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

    def open(self, name: str) -> IO[bytes]:
        """Open a file for random access; raises `OSError`."""
        opened: IO[bytes] = self.files.open_input_file(self.path(name))
        return opened

    def write(self, name: str, fill: Callable[[IO[bytes]], T]) -> T:
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


Storage = LocalStorage | RemoteStorage


def open_storage(address: str) -> Storage:
    """Open a folder by its path or URL, with the file systems of Arrow, otherwise of fsspec; raises `JobError`."""
    if "://" not in address:
        return LocalStorage(Path(address).resolve())
    try:
        files, root = fs.FileSystem.from_uri(address)
    except (pa.ArrowInvalid, OSError, UnicodeError) as arrow_error:
        try:
            handled, root = fsspec.core.url_to_fs(address)
        except (ValueError, ImportError, OSError) as error:
            raise JobError(f"{address} cannot be opened: {_reason(arrow_error)}; {_reason(error)}") from error
        files = fs.PyFileSystem(fs.FSSpecHandler(handled))
    return LocalStorage(Path(root).resolve()) if files.type_name == "local" else RemoteStorage(files, root.rstrip("/"))


def _name(text: str) -> str:
    """Return a name or path of object storage, where names are UTF-8, from its text."""
    return name_bytes(text).decode()


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error).partition("\n")[0]
