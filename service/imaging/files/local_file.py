"""Uploads whose bytes are read where they are needed: a file on disk, or one in an archive or a form."""

import errno
import mmap
import os
import stat
import sys
from collections.abc import Callable
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

from service.errors import NotFound, UploadTooLarge
from service.imaging.dicom.dataset.elements import Data
from service.imaging.dicom.scan import is_dicom
from service.imaging.files.formats import video_format

_HEAD = 256  # bytes: enough to recognize DICOM and video


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A regular file of this machine."""

    path: Path

    def open(self) -> int:
        """Return a descriptor of the file, opened for reading; the caller closes it.

        Raises `NotFound` where the file cannot be opened or is not a regular file: reading a pipe could wait forever.
        """
        try:
            return _open_descriptor(self.path)
        except OSError as error:
            raise NotFound(f"The file cannot be read: {error.strerror}.") from error

    def read(self, max_bytes: int = sys.maxsize) -> Data:
        """Return the contents, as `read_descriptor` does; raises what `open` and `read_descriptor` raise."""
        return read_descriptor(self.open(), max_bytes)


@dataclass(frozen=True, slots=True)
class LazyFile:
    """A file whose bytes are copied or inflated each time that they are needed, so that nobody keeps them meanwhile.

    Attributes
    ----------
    size
        Its bytes.
    read
        Returns them; may raise a `Problem`.
    """

    size: int
    read: Callable[[], bytes]


Upload = bytes | LocalFile | LazyFile


def open_regular(path: str | os.PathLike[str]) -> BufferedReader:
    """Open a regular file to read its bytes; raises `OSError`, also for anything else."""
    return open(_open_descriptor(path), "rb")


def _open_descriptor(path: str | os.PathLike[str]) -> int:
    # O_NONBLOCK: a pipe would wait for somebody who writes into it.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise OSError(errno.EINVAL, "it is not a regular file")


def read_descriptor(descriptor: int, max_bytes: int) -> Data:
    """Return the contents of a regular file, and close its descriptor.

    A DICOM file or a video, which may be long, is returned as a memory map, whose length costs no memory. Another
    process can end this one by cutting off a mapped file: map foreign files in a process that may end.

    Raises
    ------
    UploadTooLarge
        Another file has more than `max_bytes`.
    NotFound
        The file cannot be read.
    """
    try:
        with open(descriptor, "rb", buffering=0) as file:
            length = os.fstat(descriptor).st_size
            head = os.pread(descriptor, _HEAD, 0)
            if head and (is_dicom(head) or video_format(head[:64], head[188:189])):
                return mmap.mmap(descriptor, length, access=mmap.ACCESS_READ)
            if length > max_bytes:
                raise UploadTooLarge(f"The upload has {length} bytes; the limit is {max_bytes} bytes.")
            return file.read()
    except OSError as error:
        raise NotFound(f"The file cannot be read: {error.strerror}.") from error
