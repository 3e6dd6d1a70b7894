"""The service's side of one decoder process."""

import json
import os
import select
import signal
import socket
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, suppress
from threading import Lock
from typing import TypeAlias

from pydantic import ValidationError

from service.errors import DecodeLimit
from service.execution.decoders.arena import Arena
from service.execution.decoders.fork_server import fork_server
from service.execution.decoders.limits import COPIES_OF_FILE, LARGE, DecoderLimits
from service.execution.decoders.messages import GO, MAX_MESSAGE, Reply, Request, decode_reply, encode_request
from service.execution.work import current_work

Large: TypeAlias = Callable[[], AbstractContextManager[None]]
"""Returns a context that begins when no other decoder uses much memory."""

_SLOW_S = 0.1
"""Seconds after which a frame counts as slow, if its decoder has had a core for half of them; most take 2 to 30 ms."""
_FULL_S, _FULL_CPU_S = 0.05, 0.0125
"""Seconds after which another frame is refused, and CPU seconds of its decoder, while as many slow frames as permitted
are being decoded: it must not hold a core until it counts as slow itself."""
NO_UPLOAD = -1
_SLOW_NICENESS = 8  # beyond that of other decoders: a sixth of their share of a core
_EXIT_STATUS_S = 2  # seconds to wait for it


class DecoderEnded(Exception):  # noqa: N818 (not always an error)
    """The decoder process ended before its answer; `status` is its exit code, or the negative number of the signal."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class _Delayed(ExitStack):
    """What a slow decoder affects outside of its process; each context is entered at most once."""

    def __init__(self, large: Large) -> None:
        super().__init__()
        self._workers, self._wait_for_memory = current_work().workers, large
        self._aside = self._large = False

    def step_aside(self) -> None:
        if not self._aside:
            self.enter_context(self._workers.step_aside())
            self._aside = True

    def check_room(self) -> None:
        if not self._aside:
            self._workers.check_room()

    def wait_for_memory(self) -> None:
        self.step_aside()
        if not self._large:
            self.enter_context(self._wait_for_memory())
            self._large = True


class DecoderProcess:
    """One decoder. Not thread-safe, except for `kill`."""

    def __init__(self, limits: DecoderLimits, large: Large) -> None:
        self.limits, self._large = limits, large
        self.upload = NO_UPLOAD  # the number of the upload that it keeps open
        self.slow = False  # at low priority, which cannot be raised again
        self.ends = False  # by itself, after its last reply
        self.out_of_memory = False
        self._lock, self._closed = Lock(), False
        with ExitStack() as failed, ExitStack() as always:
            self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            self._channel.settimeout(_FULL_S)
            failed.callback(self._channel.close)
            always.callback(theirs.close)
            self._status, status = os.pipe()
            failed.callback(os.close, self._status)
            always.callback(os.close, status)
            self.arena = Arena.create()
            failed.callback(self.arena.close)
            self.id, self._handle = fork_server().fork(
                theirs.fileno(), self.arena.descriptor, status, json.dumps(limits).encode()
            )
            failed.pop_all()
        self._ended = _poll(self._handle)

    @property
    def spent(self) -> bool:
        """Whether it can serve the upload that it keeps open at most."""
        return self.slow or self.ends

    def forget(self) -> None:
        """Have the process free the file that it keeps open."""
        self.upload = NO_UPLOAD
        with suppress(OSError):  # it has ended
            self._channel.send(encode_request(Request("none", 0, 0, step=False)))

    @property
    def alive(self) -> bool:
        """Whether the process has not ended."""
        return not self._ended.poll(0)

    def ask(self, request: Request, descriptors: list[int]) -> Reply:
        """Return the answer to a request.

        Raises
        ------
        DecoderEnded
            The process was killed, crashed, or answered nonsense.
        """
        before = self._cpu_s()
        try:
            with _Delayed(self._large) as delayed:
                if COPIES_OF_FILE * request.length > LARGE and request.source == "arena":
                    delayed.wait_for_memory()
                message = encode_request(request)
                if descriptors:
                    socket.send_fds(self._channel, [message], descriptors)
                else:
                    self._channel.send(message)
                while True:
                    reply = decode_reply(self._receive(before, delayed))
                    if reply.large:
                        delayed.wait_for_memory()
                    elif reply.space is not None:
                        self.arena.grow(min(reply.space, self.limits.memory))
                    else:
                        self.ends = reply.ends
                        self.out_of_memory = reply.problem is not None and reply.problem.code == DecodeLimit.code
                        return reply
                    self._channel.send(GO)
        except TimeoutError:  # hung
            raise DecoderEnded(-signal.SIGPROF) from None
        except ValidationError:  # a decoder that answers nonsense has been taken over
            raise DecoderEnded(1) from None
        except OSError:  # it has closed the channel, or is about to
            raise DecoderEnded(self._exit_status()) from None

    def _receive(self, before: float, delayed: _Delayed) -> bytes:
        """Return the next message; lower the priority of a process that is at work after `_SLOW_S`."""
        started = time.monotonic()
        while True:
            try:
                message = self._channel.recv(MAX_MESSAGE)
            except TimeoutError:
                waited = time.monotonic() - started
                if waited > self.limits.wall_s:
                    raise
                worked = self._cpu_s() - before
                if worked > _FULL_CPU_S:
                    delayed.check_room()
                if waited > _SLOW_S and worked > _SLOW_S / 2:
                    delayed.step_aside()
                    if not self.slow:
                        self.slow = True
                        with suppress(OSError):
                            niceness = os.getpriority(os.PRIO_PROCESS, self.id) + _SLOW_NICENESS
                            os.setpriority(os.PRIO_PROCESS, self.id, niceness)
                continue
            if not message:
                raise ConnectionResetError
            return message

    def _cpu_s(self) -> float:
        """Return the CPU seconds of the process so far (clock_getcpuclockid)."""
        try:
            return time.clock_gettime((~self.id << 3) | 2)
        except OSError:  # it has ended
            return 0.0

    def kill(self) -> None:
        """End the process at once."""
        with self._lock, suppress(ProcessLookupError):
            if not self._closed:  # another process may have the descriptor by now
                signal.pidfd_send_signal(self._handle, signal.SIGKILL)

    def close(self) -> None:
        """End the process and free what the service holds of it."""
        self.kill()
        with self._lock:
            self._closed = True
        self._channel.close()
        self.arena.close()
        os.close(self._handle)
        os.close(self._status)

    def _exit_status(self) -> int:
        if not _poll(self._status).poll(1000 * _EXIT_STATUS_S):
            return 1
        # Without a status the fork server has ended, and its decoders with it: that says nothing about the file.
        return int(os.read(self._status, 16) or -signal.SIGKILL)


def _poll(descriptor: int) -> select.poll:
    poll = select.poll()  # `select` fails for descriptors above 1023
    poll.register(descriptor, select.POLLIN)
    return poll
