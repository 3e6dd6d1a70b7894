"""Memory that the service shares with one decoder: the upload goes in, the frame comes out."""

import math
import mmap
import os
from fcntl import F_ADD_SEALS, F_SEAL_SHRINK, fcntl  # codespell:ignore

import numpy as np

from service.imaging.color import Gray

START = 4 * 2**20
"""Bytes of a new arena: enough for an ordinary upload and its frame."""


class Arena:
    """A growing piece of shared memory.

    Only the service grows it, and nobody can shrink it: a decoder that could would make the service read beyond its
    end, which ends a process (SIGBUS).
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._map = mmap.mmap(descriptor, 0)

    @classmethod
    def create(cls) -> "Arena":
        """Return new shared memory."""
        descriptor = os.memfd_create("decoder", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(descriptor, START)
        fcntl(descriptor, F_ADD_SEALS, F_SEAL_SHRINK)  # codespell:ignore
        return cls(descriptor)

    def __len__(self) -> int:
        return len(self._map)

    def grow(self, size: int) -> None:
        """Make the memory at least `size` bytes long."""
        if size > len(self):
            os.ftruncate(self.descriptor, -(-size // mmap.PAGESIZE) * mmap.PAGESIZE)
            self.remap()

    def remap(self) -> None:
        """Map all of the memory, after the other side has grown it."""
        self._map.close()
        self._map = mmap.mmap(self.descriptor, 0)

    def trim(self) -> None:
        """Give the memory of a large upload or frame back to the system; the length stays."""
        if len(self) > START:
            self._map.madvise(mmap.MADV_REMOVE, START, len(self) - START)

    def write(self, data: bytes, at: int = 0) -> None:
        """Copy `data` into the memory, without Python's lock: the first use of many megabytes takes milliseconds."""
        np.frombuffer(self._map, np.uint8, len(data), at)[:] = np.frombuffer(data, np.uint8)

    def read(self, length: int, at: int = 0) -> bytes:
        """Return a copy of `length` bytes."""
        return self._map[at : at + length]

    def write_pixels(self, pixels: Gray, at: int = 0) -> None:
        """Copy a picture into the memory."""
        np.frombuffer(self._map, np.uint8, pixels.size, at)[:] = pixels.reshape(-1)

    def read_pixels(self, shape: tuple[int, ...], at: int = 0) -> Gray:
        """Return a copy of a picture of this shape."""
        return np.frombuffer(self._map, np.uint8, math.prod(shape), at).reshape(shape).copy()

    def close(self) -> None:
        """Unmap the memory; it is freed when both sides have closed it."""
        self._map.close()
        os.close(self.descriptor)
