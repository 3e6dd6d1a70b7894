"""The files of a job, which open when a worker first reads them."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Lock
from time import perf_counter
from typing import TypeAlias

from service.errors import Problem
from service.imaging.files.local_file import LocalFile, Upload, open_regular
from service.imaging.frame import Frames
from service.imaging.letterbox import PreparedFrame
from service.jobs.listing import find_source

Open: TypeAlias = Callable[[Upload, int], Frames[PreparedFrame]]
"""Opens a file whose frame with an index is read first."""

START = 64 * 1024
"""Bytes at the start of a file: enough to recognize what is not a picture."""


@dataclass(slots=True, eq=False)
class SourceFile:
    """A file of a job. The first read opens it; several threads may read at once.

    Attributes
    ----------
    name
        Name of the file in the results.
    source
        The file on this machine, or a function that fetches the bytes of any other; it may raise a `Problem`.
    load_s
        Seconds that fetching took.
    """

    name: str
    source: LocalFile | Callable[[], bytes]
    load_s: float = 0.0
    _frames: Frames[PreparedFrame] | None = field(default=None, init=False)
    _sha256: str | None = field(default=None, init=False)
    _lock: Lock = field(default_factory=Lock, init=False)

    @property
    def path(self) -> Path | None:
        """Where it is on this machine; None for a file of an archive or of object storage."""
        return self.source.path if isinstance(self.source, LocalFile) else None

    @property
    def count(self) -> int | None:
        """The number of frames; None if the file is not open."""
        return self._frames.count if self._frames else None

    def times(self, open_file: Open) -> Sequence[int] | None:
        """Return when each frame is shown, as `Frames` does; raises what `read` raises."""
        with self._lock:
            if self._frames is None:
                self._frames = open_file(self._load(), 0)
            return self._frames.times

    @classmethod
    def below(cls, root: Path, name: str, max_bytes: int) -> "SourceFile":
        """Return a file that `walk_folder` named, also one in an archive."""
        found = find_source(root, name)
        return cls(name, found if isinstance(found, LocalFile) else partial(found.read, max_bytes))

    def start(self, length: int = START) -> bytes:
        """Return the first bytes; raises `Problem` or `OSError`."""
        if not isinstance(self.source, LocalFile):
            return self.source()[:length]
        with open_regular(self.source.path) as file:
            return file.read(length)

    def sha256(self) -> str | None:
        """Return the hash of the contents, read once; None if it cannot be read."""
        if self._sha256 is None:
            try:
                if isinstance(self.source, LocalFile):
                    with open_regular(self.source.path) as file:
                        self._sha256 = hashlib.file_digest(file, "sha256").hexdigest()
                else:
                    self._sha256 = hashlib.sha256(self.source()).hexdigest()
            except (OSError, Problem):
                return None
        return self._sha256

    def read(self, index: int, open_file: Open) -> PreparedFrame:
        """Return frame `index`; raises what `source`, `open_file` and `Frames.read` raise."""
        with self._lock:
            if self._frames is None:
                self._frames = open_file(self._load(), index)
            # Only DICOM frames can be decoded side by side; other readers, and videos, step from frame to frame.
            if self._frames.format != "dicom" or not self._frames.independent:
                return self._frames.read(index)
        return self._frames.read(index)

    def _load(self) -> Upload:
        if isinstance(self.source, LocalFile):
            return self.source
        started = perf_counter()
        try:
            return self.source()
        finally:
            self.load_s += perf_counter() - started
