"""The folder of kept frames: one PNG each, of the sector alone."""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from service.disk import write_flushed
from service.store.options import StoreError

_DRAFTS = ".drafts"
_NAME = re.compile(r"(?P<digest>[0-9a-f]{64})-(?P<frame>[0-9]{1,10})\.png")


class FramePlace(NamedTuple):
    """A frame of a file, which is known by its SHA-256."""

    digest: str
    frame: int


@dataclass(frozen=True, slots=True)
class FrameFolder:
    """Writes and deletes kept frames. `quota` limits their bytes; the store counts them.

    A name says which frame it is, and nothing about the patient. Who writes or deletes has the write transaction of the
    database, so that replicas do not meet in the folder.
    """

    folder: Path
    quota: int

    @classmethod
    def open(cls, folder: Path, quota: int) -> "FrameFolder":
        """Return the folder, which is made if there is none. Raises `StoreError`."""
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            (folder / _DRAFTS).mkdir(mode=0o700, exist_ok=True)
            if not os.access(folder, os.W_OK | os.X_OK):
                raise PermissionError(None, "Permission denied")
        except OSError as error:
            raise StoreError(f"the folder {folder} of FETAL_PLANES_STORE_FRAMES: {error.strerror}") from None
        return cls(folder, quota)

    def write(self, place: FramePlace, png: bytes) -> None:
        """Write a frame, whole or not at all; raises `OSError`."""
        write_flushed(self.path(*place), png, self.folder / _DRAFTS)

    def delete(self, places: Iterable[FramePlace]) -> None:
        """Delete frames; raises `OSError`."""
        for place in places:
            self.path(*place).unlink(missing_ok=True)

    def sizes(self) -> dict[FramePlace, int]:
        """Return the kept frames with their bytes. Files with other names are not ours."""
        found = ((_NAME.fullmatch(path.name), path) for path in self.folder.iterdir())
        return {FramePlace(name["digest"], int(name["frame"])): path.stat().st_size for name, path in found if name}

    def delete_drafts(self) -> None:
        """Delete what killed processes left behind."""
        for path in (self.folder / _DRAFTS).iterdir():
            path.unlink()

    def path(self, digest: str, frame: int) -> Path:
        """Return the file of a frame."""
        return self.folder / f"{digest}-{frame}.png"
