"""What a decoder process does: it takes requests from its channel and decodes frames, within its limits."""

import json
import mmap
import os
import resource
import signal
import socket
from collections.abc import Sequence
from typing import NoReturn

import cv2

from service.errors import DecodeLimit, Problem, UnreadableFrame
from service.execution.decoders.arena import Arena, describe, put, size_of
from service.execution.decoders.decoder import open_descriptor
from service.execution.decoders.limits import COPIES_OF_FILE, KEPT, LARGE, DecoderLimits, frame_bytes
from service.execution.decoders.messages import (
    GO,
    DecodedFrame,
    OpenedFile,
    Refusal,
    Reply,
    Request,
    decode_request,
    encode_reply,
)
from service.execution.decoders.sandbox import confine
from service.imaging.decode import open_frames
from service.imaging.frame import Frame, Frames
from service.imaging.letterbox import PreparedFrame, prepare

_MAX_REQUEST = 1024  # bytes
_CV_NO_MEMORY = -4  # `cv2.error.code` for StsNoMem


def run_decoder(channel: int, arena: int, limits: bytes, server: int) -> NoReturn:
    """Serve requests until the service closes the channel; the process ends then, or with the fork server."""
    try:
        null = os.open(os.devnull, os.O_RDWR)
        for standard in range(3):
            os.dup2(null, standard)
        statm = os.open("/proc/self/statm", os.O_RDONLY)
        confine()
        if os.getppid() != server:  # it ended before `confine` tied this process to it
            os._exit(1)
        _Decoder(socket.socket(fileno=channel), Arena(arena), DecoderLimits(*json.loads(limits)), statm).run()
    finally:
        os._exit(1)  # without this process's copies of the exit handlers of the fork server


class _Decoder:
    """Decodes frame by frame; keeps a file of several frames open until another one comes."""

    def __init__(self, channel: socket.socket, arena: Arena, limits: DecoderLimits, statm: int) -> None:
        self._channel, self._arena, self._limits, self._statm = channel, arena, limits, statm
        self._frames: Frames[Frame] | None = None
        self._mapped_at_start = self._mapped()

    def run(self) -> NoReturn:
        """Answer every request."""
        while True:
            message, descriptors, _, _ = socket.recv_fds(self._channel, _MAX_REQUEST, 1)
            if not message:
                os._exit(0)
            request = decode_request(message)
            if request.source == "none":
                self._frames = None
                continue
            reply = self._answer(request, descriptors)
            # A library that ran out of memory may be in any state, and some never give back what a file made them take.
            failed = reply.problem is not None and reply.problem.code == DecodeLimit.code
            reply.ends = failed or (self._frames is None and self._mapped() - self._mapped_at_start > KEPT)
            self._channel.send(encode_reply(reply))
            if reply.ends:
                os._exit(0)

    def _answer(self, request: Request, descriptors: list[int]) -> Reply:
        signal.setitimer(signal.ITIMER_PROF, self._limits.cpu_s)  # of CPU time; SIGPROF ends the process
        file = None
        try:
            frames = self._open(request, descriptors)
            file = OpenedFile(
                format=frames.format,
                count=frames.count,
                independent=frames.independent,
                max_pixels=frames.max_pixels,
                steps=frames.steps,
            )
            if not 0 <= request.frame < frames.count:
                return Reply(file=file)  # `Frames.read` of the service refuses the index
            return Reply(file=file, frame=self._return(self._read(frames, request), self._times(frames, request)))
        except Exception as error:  # a frame that cannot be returned must not cost the process
            return Reply(file=file, problem=_refusal(error))
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
            if file is None or file.count == 1:
                self._frames = None

    def _open(self, request: Request, descriptors: list[int]) -> Frames[Frame]:
        if request.source == "open" and self._frames is not None:
            return self._frames
        self._frames = None
        if request.source == "file":
            # A memory map of DICOM counts as well. Opening may inflate a deflated object.
            self._limit_memory(LARGE + self._file_bytes(request) + request.length)
            self._frames = open_descriptor(descriptors[0], self._limits.file)
        else:
            if request.length > len(self._arena):
                self._arena.remap()
            self._limit_memory(LARGE + self._file_bytes(request))
            self._frames = open_frames(self._arena.read(request.length), self._limits.file)
        return self._frames

    def _read(self, frames: Frames[Frame], request: Request) -> Frame | PreparedFrame:
        needed = frame_bytes(frames.max_pixels)
        if needed > LARGE:
            self._ask(Reply(large=True))
        self._limit_memory(needed + self._file_bytes(request))
        if request.step:
            frames.step_to(request.frame)
        frame = frames.read(request.frame)
        return frame if request.preparation is None else prepare(frame, request.preparation)

    def _times(self, frames: Frames[Frame], request: Request) -> Sequence[int] | None:
        """Return the times of all frames where the service does not have them yet."""
        return None if request.source == "open" else frames.times

    def _return(self, frame: Frame | PreparedFrame, times: Sequence[int] | None) -> DecodedFrame:
        """Copy a frame into the arena, and return what the service must know to take it out."""
        described, parts = describe(frame, times)
        size = size_of(parts)
        if size > len(self._arena):
            self._ask(Reply(space=size))
            self._arena.remap()
        put(parts, self._arena)
        return described

    def _ask(self, question: Reply) -> None:
        self._channel.send(encode_reply(question))
        if self._channel.recv(len(GO)) != GO:
            os._exit(0)

    def _file_bytes(self, request: Request) -> int:
        return COPIES_OF_FILE * min(request.length, self._limits.max_bytes)

    def _limit_memory(self, more: int) -> None:
        """Limit the address space to what is mapped now, the allowance, and `more` bytes."""
        limit = self._mapped() + len(self._arena) + self._limits.allowance + more
        resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))

    def _mapped(self) -> int:
        """Return the bytes of address space of this process, without the arena."""
        return int(os.pread(self._statm, 64, 0).split(b" ", 1)[0]) * mmap.PAGESIZE - len(self._arena)


def _refusal(error: Exception) -> Refusal:
    """Return the problem of a file, or that it needs too much memory, which parsers report in several ways."""
    cause = error.__cause__ or error
    if isinstance(cause, MemoryError) or (isinstance(cause, cv2.error) and cause.code == _CV_NO_MEMORY):
        error = DecodeLimit("Decoding needs more memory than the size of the picture justifies.")
    if not isinstance(error, Problem):
        error = UnreadableFrame("The file is damaged, or of a kind that is not supported.")
    return Refusal(code=error.code, detail=error.detail)
