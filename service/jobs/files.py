"""The files of a job, which open when a worker first reads them."""

import hashlib
import mmap
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Lock
from time import perf_counter

from service.errors import NotFound
from service.imaging.decode import open_frames
from service.imaging.dicom.scan import Data, is_dicom
from service.imaging.frame import Frame, Frames, Limits
from service.jobs.listing import open_regular

_HEAD = 256  # bytes: enough to recognize DICOM
_START = 64 * 1024  # bytes: enough to recognize what is not a picture


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
    path
        Where it is on this machine; None for a file of an archive or of object storage.
    load_s
        Seconds that `load` took.
    """

    name: str
    load: Callable[[], Data]
    path: Path | None = None
    load_s: float = 0.0
    _frames: Frames | None = field(default=None, init=False)
    _sha256: str | None = field(default=None, init=False)
    _lock: Lock = field(default_factory=Lock, init=False)

    @property
    def count(self) -> int | None:
        """The number of frames; None if the file is not open."""
        return self._frames.count if self._frames else None

    def start(self) -> bytes:
        """Return the first 64 KiB; raises `Problem` or `OSError`."""
        if self.path is None:
            return bytes(self.load()[:_START])
        with open_regular(self.path) as file:
            return file.read(_START)

    def sha256(self) -> str | None:
        """Return the hash of the contents of a file on this machine, read once; None if it cannot be read."""
        if self._sha256 is None and self.path is not None:
            try:
                with open_regular(self.path) as file:
                    self._sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            except OSError:
                return None
        return self._sha256

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


def file_reader(path: Path) -> Callable[[], Data]:
    """Return a function that reads a local file: a memory map of a DICOM file, the bytes of any other."""

    def read() -> Data:
        try:
            with open_regular(path) as file:
                if is_dicom(file.read(_HEAD)):
                    return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
                file.seek(0)
                return file.read()
        except OSError as error:
            raise NotFound(f"The file cannot be read: {error.strerror}.") from error

    return read


def _limits_for(limits: Limits, data: Data) -> Limits:
    """Return the limits without the one on bytes for a memory map: its length costs no memory."""
    return limits if isinstance(data, bytes) else replace(limits, max_bytes=max(limits.max_bytes, len(data)))
