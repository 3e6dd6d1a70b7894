"""The files to work through, each opened when its turn comes and not before."""

import mmap
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Lock

from service.errors import NotFound
from service.imaging.decode import open_frames
from service.imaging.dicom.scan import Data, is_dicom
from service.imaging.frame import Frame, Frames, Limits

_HEAD = 256  # bytes that tell a DICOM from a picture


@dataclass(slots=True, eq=False)
class Upload:
    """A file by its name, opened once, by whichever thread asks first; safe to use from several.

    Attributes
    ----------
    name
        What the results call it.
    load
        Reads the bytes, of a DICOM file on disk a map, so that a long cine is never in memory as a whole; may raise a
        `Problem`.
    """

    name: str
    load: Callable[[], Data]
    _opened: tuple[Data, Frames] | None = field(default=None, init=False)
    _lock: Lock = field(default_factory=Lock, init=False)

    def read(self, index: int, limits: Limits) -> tuple[Data, Frame]:
        """The bytes and their frame `index`; raises what `load`, `open_frames` and `Frames.read` raise."""
        with self._lock:
            if self._opened is None:
                data = self.load()
                self._opened = data, open_frames(data, _stretched(limits, data))
            data, frames = self._opened
            if frames.format != "dicom":  # the others' readers go from frame to frame
                return data, frames.read(index)
        return data, frames.read(index)


def walk(folder: Path, skip: Callable[[Path], bool]) -> Iterator[Upload]:
    """Every file below a folder, in the order of names, but those that `skip` names and hidden ones."""
    for path in sorted(folder.rglob("*")):
        below = path.relative_to(folder)
        if path.is_file() and not skip(path) and not any(part.startswith(".") for part in below.parts):
            yield Upload(below.as_posix(), file_reader(path))


def _stretched(limits: Limits, data: Data) -> Limits:
    """Without a limit in bytes for a map, whose length costs no memory."""
    return limits if isinstance(data, bytes) else replace(limits, max_bytes=max(limits.max_bytes, len(data)))


def file_reader(path: Path) -> Callable[[], Data]:
    """What reads a file on disk: a map of a DICOM, the bytes of any other."""

    def read() -> Data:
        try:
            with path.open("rb") as file:
                if is_dicom(file.read(_HEAD)):
                    return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            return path.read_bytes()
        except OSError as error:
            raise NotFound(f"The file cannot be read: {error.strerror}.") from error

    return read
