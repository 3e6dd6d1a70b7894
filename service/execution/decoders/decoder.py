"""What opens uploads: the interface, and the decoder for platforms without decoder processes."""

import mmap
import os
import sys
from dataclasses import dataclass, replace
from typing import Protocol

from service.imaging.decode import open_frames
from service.imaging.dicom.dataset.elements import Data
from service.imaging.dicom.scan import is_dicom
from service.imaging.frame import Frames, Limits
from service.imaging.local_file import LocalFile, Upload

HAS_PROCESSES = sys.platform == "linux"
"""Whether this platform has decoder processes: shared memory with seals, and descriptors of processes."""
_HEAD = 256  # bytes: enough to recognize DICOM


class Decoder(Protocol):
    """Opens uploads."""

    def open(self, upload: Upload, index: int = 0) -> Frames:
        """Open a file whose frame `index` is read first; the caller closes it. Raises what `open_frames` raises."""

    def start(self) -> None:
        """Get ready to open files; the first ones are slower without."""

    def close(self) -> None:
        """Free what the decoder holds."""


@dataclass(frozen=True, slots=True)
class InProcessDecoder:
    """Decodes in the calling process: for trusted files, and where there are no decoder processes."""

    limits: Limits

    def open(self, upload: Upload, index: int = 0) -> Frames:
        """Open a file."""
        if not isinstance(upload, LocalFile):
            return open_frames(upload, self.limits)
        descriptor = upload.open()
        return open_file(descriptor, os.fstat(descriptor).st_size, self.limits)

    def start(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


def open_file(descriptor: int, length: int, limits: Limits) -> Frames:
    """Open the file of a descriptor, which is closed: a memory map of DICOM, which may be a long cine; else its bytes.

    The length of a memory map costs no memory, so the limit on bytes does not apply to it.
    """
    with open(descriptor, "rb", buffering=0) as file:
        if is_dicom(os.pread(descriptor, _HEAD, 0)):
            data: Data = mmap.mmap(descriptor, length, access=mmap.ACCESS_READ)
            return open_frames(data, replace(limits, max_bytes=max(limits.max_bytes, length)))
        limits.check_bytes(length)
        return open_frames(file.read(), limits)
