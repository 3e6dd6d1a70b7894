"""Memory that the service shares with one decoder: the upload goes in, the frame comes out.

The parts of a frame follow each other: the picture, then of a prepared frame the network's input and the cells, then
the DICOM attributes and the times of all frames (int32).
"""

import math
import mmap
import os
from array import array
from collections.abc import Sequence
from fcntl import F_ADD_SEALS, F_SEAL_SHRINK, fcntl  # codespell:ignore

import numpy as np

from service.errors import UnreadableFrame
from service.execution.decoders.messages import DecodedFrame, OpenedFile
from service.imaging.color import Gray
from service.imaging.dicom.attributes import DicomAttributes
from service.imaging.frame import Frame, FrameMetadata
from service.imaging.letterbox import CELLS, Crop, Preparation, PreparedFrame

Part = Gray | bytes

START = 4 * 2**20
"""Bytes of a new arena: enough for an ordinary upload and its frame."""

_TIME_BYTES = array("i").itemsize


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


def describe(frame: Frame | PreparedFrame, times: Sequence[int] | None) -> tuple[DecodedFrame, list[Part]]:
    """Return what the reply says of a frame, and its parts."""
    facts = frame.metadata
    attributes = b"" if facts.dicom is None else facts.dicom.encoded
    shown = b"" if times is None else array("i", times).tobytes()
    described = DecodedFrame(
        height=facts.height,
        width=facts.width,
        attributes=None if facts.dicom is None else len(attributes),
        seconds=facts.seconds,
        times=None if times is None else len(shown),
    )
    if isinstance(frame, Frame):
        described.region = frame.region
        return described, [frame.pixels, attributes, shown]
    described.crop, described.flow = frame.crop, frame.flow
    pictures = [each for each in (frame.picture, frame.view, frame.cells) if each is not None]
    return described, [*pictures, attributes, shown]


def size_of(parts: Sequence[Part]) -> int:
    """Return the bytes that parts take in the arena."""
    return sum(len(each) if isinstance(each, bytes) else each.size for each in parts)


def put(parts: Sequence[Part], arena: Arena) -> None:
    """Write parts into an arena that has room for them."""
    at = 0
    for each in parts:
        if isinstance(each, bytes):
            arena.write(each, at)
        else:
            arena.write_pixels(each, at)
        at += size_of([each])


class Taker:
    """Takes the parts of one frame out of the arena, and checks that it can be what the reply says."""

    def __init__(self, arena: Arena, file: OpenedFile, frame: DecodedFrame, max_pixels: int) -> None:
        if frame.height * frame.width > max_pixels:
            raise nonsense()
        self._arena, self._file, self._frame = arena, file, frame
        self._at = 0

    def frame(self, index: int) -> Frame:
        """Return the frame itself, without colors."""
        found, file = self._frame, self._file
        pixels = self._pixels(found.height, found.width)
        return Frame(pixels, file.format, index, file.count, found.region, None, self._attributes(), found.seconds)

    def prepared(self, index: int, preparation: Preparation) -> PreparedFrame:
        """Return the prepared frame."""
        found, file = self._frame, self._file
        size, side = preparation.picture_size(found.height, found.width), preparation.preprocessing.size
        picture = None if size is None else self._pixels(*size)
        return PreparedFrame(
            view=self._pixels(side, side),
            crop=self._crop(),
            flow=found.flow,
            cells=self._pixels(CELLS, CELLS) if file.count > 1 else None,
            picture=picture,
            metadata=FrameMetadata(
                file.format, found.width, found.height, index, file.count, self._attributes(), found.seconds
            ),
        )

    def times(self) -> "array[int] | None":
        """Return the times of all frames, if they came with this one; call it last."""
        length = self._frame.times
        if length is None:
            return None
        if length != self._file.count * _TIME_BYTES:
            raise nonsense()
        return array("i", self._bytes(length))

    def _crop(self) -> Crop:
        crop = self._frame.crop
        if crop is None:
            raise nonsense()
        left, top, right, bottom = crop.box
        if not (0 <= left < right <= self._frame.width and 0 <= top < bottom <= self._frame.height):
            raise nonsense()
        return crop

    def _attributes(self) -> DicomAttributes | None:
        length = self._frame.attributes
        return None if length is None else DicomAttributes(self._bytes(length))

    def _pixels(self, height: int, width: int) -> Gray:
        return self._arena.read_pixels((height, width), self._pass(height * width))

    def _bytes(self, length: int) -> bytes:
        return self._arena.read(length, self._pass(length))

    def _pass(self, length: int) -> int:
        """Return where the next part begins, and go on after its `length` bytes."""
        at, self._at = self._at, self._at + length
        if self._at > len(self._arena):
            raise nonsense()
        return at


def nonsense() -> UnreadableFrame:
    """Return the refusal of a file whose decoder returned what cannot be."""
    return UnreadableFrame("The file is damaged: its decoder returned no frame.")
