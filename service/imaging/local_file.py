"""A file on disk as an upload: it is opened where it is decoded, never by its name twice."""

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from service.errors import NotFound


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A regular file of this machine. Its bytes are read by the process that decodes them."""

    path: Path

    def open(self) -> int:
        """Return a descriptor of the file, opened for reading; the caller closes it.

        Raises `NotFound` where the file cannot be opened or is not a regular file: reading a pipe could wait forever.
        """
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise NotFound(f"The file cannot be read: {error.strerror}.") from error
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise NotFound("The file cannot be read: it is not a regular file.")
        return descriptor


Upload = bytes | LocalFile
