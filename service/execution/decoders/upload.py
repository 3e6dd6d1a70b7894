"""An upload that decoder processes read, frame by frame."""

import itertools
import os
from array import array
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Generic, NamedTuple, Protocol, TypeVar

from service.errors import TABLE, DecodeLimit, Problem, UnreadableFrame
from service.execution.decoders.arena import Taker, nonsense
from service.execution.decoders.messages import OpenedFile, Reply, Request, Source
from service.execution.decoders.process import NO_UPLOAD, DecoderEnded, DecoderProcess
from service.imaging.files.formats import detect_format
from service.imaging.files.local_file import LazyFile, LocalFile, Upload
from service.imaging.frame import Frames
from service.imaging.letterbox import Preparation

T = TypeVar("T")

_NUMBERS = itertools.count()
_ATTEMPTS = 4


class _Decoded(NamedTuple, Generic[T]):
    """A reply with its frame taken out of the arena."""

    file: OpenedFile | None
    frame: T | None
    problem: Problem | None
    times: "array[int] | None" = None


class Lender(Protocol):
    """Lends decoders for uploads, each by its number."""

    def use(self, upload: int) -> AbstractContextManager[DecoderProcess]:
        """Return a context with a decoder for an upload."""

    def forget(self, upload: int) -> None:
        """Free what a decoder holds of an upload."""


class OpenUpload(Generic[T]):
    """An upload, by a number that no other upload of this process has.

    Parameters
    ----------
    upload, lender
        The file, and what lends decoders for it.
    preparation
        What each request says of the frame.
    take
        Takes the frame with an index out of the arena.
    """

    def __init__(
        self, upload: Upload, lender: Lender, preparation: Preparation | None, take: Callable[[Taker, int], T]
    ) -> None:
        self._upload, self._lender, self._preparation, self._take = upload, lender, preparation, take
        self._number = next(_NUMBERS)
        self._first: tuple[int, _Decoded[T]] | None = None  # the frame that came with the header, until it is read
        self._again = False
        self._kept = False  # by a decoder

    def open(self, index: int) -> Frames[T]:
        """Decode the header and frame `index`; raises what `DecoderPool.open` raises."""
        decoded = self._decode(index)
        if decoded.file is None:
            raise decoded.problem or nonsense()
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

    def _read(self, index: int) -> T:
        first, self._first = self._first, None
        decoded = first[1] if first is not None and first[0] == index else self._decode(index)
        if decoded.frame is None:
            raise decoded.problem or nonsense()
        return decoded.frame

    def _close(self) -> None:
        self._first = None
        if self._kept:
            self._lender.forget(self._number)

    def _decode(self, index: int) -> _Decoded[T]:
        for _ in range(_ATTEMPTS):
            try:
                return self._ask(index)
            except DecoderEnded:  # somebody killed it, which says nothing about the file
                continue
        raise DecodeLimit(f"The process that decodes the file was killed {_ATTEMPTS} times.")

    def _ask(self, index: int) -> _Decoded[T]:
        again, self._again = self._again, True
        with self._lender.use(self._number) as decoder:
            if decoder.upload == self._number:
                reply = decoder.ask(self._request("open", 0, index, step=False), [])
            elif isinstance(self._upload, LocalFile):
                descriptor = self._upload.open()
                try:
                    length = os.fstat(descriptor).st_size
                    reply = decoder.ask(self._request("file", length, index, step=again), [descriptor])
                finally:
                    os.close(descriptor)
            else:
                try:
                    length = _write(self._upload, decoder)
                except Problem as problem:  # the decoder has not been asked, and can work for others
                    return _Decoded(None, None, problem)
                reply = decoder.ask(self._request("arena", length, index, step=again), [])
            self._kept = reply.file is not None and reply.file.count > 1
            decoder.upload = self._number if self._kept else NO_UPLOAD
            decoded = self._taken(reply, index, decoder)
            decoder.arena.trim()
            return decoded

    def _request(self, source: Source, length: int, index: int, *, step: bool) -> Request:
        return Request(source, length, index, step, self._preparation)

    def _taken(self, reply: Reply, index: int, decoder: DecoderProcess) -> _Decoded[T]:
        problem = None
        if reply.problem is not None:
            problem = TABLE.get(reply.problem.code, UnreadableFrame)(reply.problem.detail)
        if reply.frame is None or reply.file is None:
            return _Decoded(reply.file, None, problem)
        taker = Taker(decoder.arena, reply.file, reply.frame, decoder.limits.max_pixels)
        return _Decoded(reply.file, self._take(taker, index), None, taker.times())


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
