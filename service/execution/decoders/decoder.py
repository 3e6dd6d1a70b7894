"""What opens uploads: the interface, and the decoder for platforms without decoder processes."""

import os
import sys
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from service.imaging.dicom.dataset.elements import Data
from service.imaging.files.local_file import LazyFile, LocalFile, Upload, read_descriptor
from service.imaging.frame import Frame, Frames, Limits
from service.imaging.letterbox import Preparation, PreparedFrame, prepare

HAS_PROCESSES = sys.platform == "linux"
"""Whether this platform has decoder processes: shared memory with seals, and descriptors of processes."""


class DecoderSystemError(Exception):
    """The kernel or the container's runtime refuses what decoder processes need."""


def check_system() -> None:
    """Raise DecoderSystemError where this system cannot run decoder processes, although its platform has them."""
    if not HAS_PROCESSES:
        return
    try:
        os.close(os.memfd_create("check", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING))
        os.close(os.pidfd_open(os.getpid()))
    except OSError as error:
        raise DecoderSystemError(
            f"uploads are decoded in processes of their own, and this system refuses that ({error.strerror}). They "
            "need Linux 5.3 or later, and a container runtime whose seccomp profile permits memfd_create and pidfd_open"
        ) from error


class Decoder(Protocol):
    """Opens uploads."""

    def open(self, upload: Upload, index: int = 0) -> Frames[Frame]:
        """Open a file whose frame `index` is read first; the caller closes it. Raises what `open_frames` raises.

        The frames of some decoders are without colors.
        """

    def open_prepared(self, upload: Upload, preparation: Preparation, index: int = 0) -> Frames[PreparedFrame]:
        """Open a file likewise; what reads a frame prepares it for the network."""

    def start(self) -> None:
        """Get ready to open files; the first ones are slower without."""

    def close(self) -> None:
        """Free what the decoder holds."""


@dataclass(frozen=True, slots=True)
class InProcessDecoder:
    """Decodes in the calling process: for trusted files, and where there are no decoder processes."""

    limits: Limits

    def open(self, upload: Upload, index: int = 0) -> Frames[Frame]:
        """Open a file."""
        if isinstance(upload, LocalFile):
            return open_descriptor(upload.open(), self.limits)
        return _open_frames(upload.read() if isinstance(upload, LazyFile) else upload, self.limits)

    def open_prepared(self, upload: Upload, preparation: Preparation, index: int = 0) -> Frames[PreparedFrame]:
        """Open a file whose frames are prepared for the network."""
        return self.open(upload, index).map(partial(prepare, preparation=preparation))

    def start(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


def open_descriptor(descriptor: int, limits: Limits) -> Frames[Frame]:
    """Open the file of a descriptor, which is closed; raises what `read_descriptor` and `open_frames` raise."""
    data = read_descriptor(descriptor, limits.max_bytes)
    if not isinstance(data, bytes):  # the length of a memory map costs no memory
        limits = replace(limits, max_bytes=max(limits.max_bytes, len(data)))
    return _open_frames(data, limits)


def _open_frames(data: Data, limits: Limits) -> Frames[Frame]:
    from service.imaging.decode import open_frames  # the service decodes in other processes, and need not load it

    return open_frames(data, limits)
