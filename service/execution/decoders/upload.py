"""An upload that decoder processes read, frame by frame."""

import itertools
import math
import os
from array import array
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import NamedTuple

from service.errors import TABLE, DecodeLimit, Problem, UnreadableFrame
from service.execution.decoders.messages import OpenedFile, Reply, Request
from service.execution.decoders.process import NO_UPLOAD, DecoderEnded, DecoderProcess
from service.imaging.dicom.attributes import DicomAttributes
from service.imaging.files.formats import detect_format
from service.imaging.files.local_file import LazyFile, LocalFile, Upload
from service.imaging.frame import Frame, Frames

_NUMBERS = itertools.count()
_ATTEMPTS = 4


class _Decoded(NamedTuple):
    """A reply with its frame taken out of the arena."""

    file: OpenedFile | None
    frame: Frame | None
    problem: Problem | None
    times: "array[int] | None" = None


class OpenUpload:
    """An upload, by a number that no other upload of this process has.

    `use` returns a context with a decoder for the upload with a number; `forget` frees what a decoder holds of it.
    """

    def __init__(
        self,
        upload: Upload,
        use: Callable[[int], AbstractContextManager[DecoderProcess]],
        forget: Callable[[int], None],
    ) -> None:
        self._upload, self._use, self._forget = upload, use, forget
        self._number = next(_NUMBERS)
        self._first: tuple[int, _Decoded] | None = None  # the frame that came with the header, until it is read
        self._again = False
        self._kept = False  # by a decoder

    def open(self, index: int) -> Frames:
        """Decode the header and frame `index`; raises what `DecoderPool.open` raises."""
        decoded = self._decode(index)
        if decoded.file is None:
            raise decoded.problem or _nonsense()
        self._first = index, decoded
        file = decoded.file
        return Frames(
            file.format,
            file.count,
            file.independent,
            file.max_pixels,
            self._read,
            self._close,
            steps=file.steps,
            times=decoded.times,
        )

    def _read(self, index: int) -> Frame:
        first, self._first = self._first, None
        decoded = first[1] if first is not None and first[0] == index else self._decode(index)
        if decoded.frame is None:
            raise decoded.problem or _nonsense()
        return decoded.frame

    def _close(self) -> None:
        self._first = None
        if self._kept:
            self._forget(self._number)

    def _decode(self, index: int) -> _Decoded:
        for _ in range(_ATTEMPTS):
            try:
                return self._ask(index)
            except DecoderEnded:  # somebody killed it, which says nothing about the file
                continue
        raise DecodeLimit(f"The process that decodes the file was killed {_ATTEMPTS} times.")

    def _ask(self, index: int) -> _Decoded:
        again, self._again = self._again, True
        with self._use(self._number) as decoder:
            if decoder.upload == self._number:
                reply = decoder.ask(Request("open", 0, index, step=False), [])
            elif isinstance(self._upload, LocalFile):
                descriptor = self._upload.open()
                try:
                    reply = decoder.ask(Request("file", os.fstat(descriptor).st_size, index, step=again), [descriptor])
                finally:
                    os.close(descriptor)
            else:
                try:
                    length = _write(self._upload, decoder)
                except Problem as problem:  # the decoder has not been asked, and can work for others
                    return _Decoded(None, None, problem)
                reply = decoder.ask(Request("arena", length, index, step=again), [])
            self._kept = reply.file is not None and reply.file.count > 1
            decoder.upload = self._number if self._kept else NO_UPLOAD
            decoded = _take(reply, index, decoder)
            decoder.arena.trim()
            return decoded


def _write(upload: bytes | LazyFile, decoder: DecoderProcess) -> int:
    """Write a file into the arena and return its length; the bytes of a lazy one are in memory only meanwhile.

    Raises what `DecoderPool.open` raises where such a file needs no decoder.
    """
    data = upload
    if isinstance(data, LazyFile):
        data = data.read()
        decoder.limits.file.check_bytes(len(data))
        detect_format(data)
    decoder.arena.grow(len(data))
    decoder.arena.write(data)
    return len(data)


def _take(reply: Reply, index: int, decoder: DecoderProcess) -> _Decoded:
    """Copy the frame of a reply out of the arena, and check that it can be what the reply says."""
    problem = None
    if reply.problem is not None:
        problem = TABLE.get(reply.problem.code, UnreadableFrame)(reply.problem.detail)
    if reply.frame is None or reply.file is None:
        return _Decoded(reply.file, None, problem)
    found, arena, limits = reply.frame, decoder.arena, decoder.limits
    colors = (*found.colors, 3) if found.colors is not None else (0,)
    sizes = found.height * found.width, math.prod(colors), found.attributes or 0, found.times or 0
    if sizes[0] > limits.max_pixels or sum(sizes) > len(arena):
        raise _nonsense()
    times = None
    if found.times is not None:
        if found.times != reply.file.count * array("i").itemsize:
            raise _nonsense()
        times = array("i", arena.read(sizes[3], sum(sizes[:3])))
    frame = Frame(
        pixels=arena.read_pixels((found.height, found.width)),
        format=reply.file.format,
        index=index,
        count=reply.file.count,
        region=found.region,
        colors=None if found.colors is None else arena.read_pixels(colors, sizes[0]),
        dicom=None if found.attributes is None else DicomAttributes(arena.read(sizes[2], sum(sizes[:2]))),
        seconds=found.seconds,
    )
    return _Decoded(reply.file, frame, None, times)


def _nonsense() -> UnreadableFrame:
    return UnreadableFrame("The file is damaged: its decoder returned no frame.")
