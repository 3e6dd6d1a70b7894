"""The service's side of one decoder process, and of the server that forks them."""

import atexit
import errno
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, suppress
from functools import cache, partial
from pathlib import Path
from threading import Lock
from typing import NamedTuple

from pydantic import ValidationError

import service
from service.errors import DecodeLimit
from service.execution.decoders.arena import Arena
from service.execution.decoders.limits import COPIES_OF_FILE, LARGE, DecoderLimits
from service.execution.decoders.messages import GO, MAX_MESSAGE, Reply, Request

_SLOW_S = 0.1
"""Seconds after which a frame counts as slow, if its decoder has had a core for half of them; most take 2 to 30 ms."""
NO_UPLOAD = -1
_LOW_PRIORITY = 10  # a niceness: a tenth of an ordinary process's share of a core
_EXIT_STATUS_S = 2  # seconds to wait for it


class DecoderEnded(Exception):  # noqa: N818 (not always an error)
    """The decoder process ended before its answer; `status` is its exit code, or the negative number of the signal."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class _ForkServer:
    """The process that forks decoders; it starts again if it ends."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._control: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process unless it runs; it loads the decoders in the background."""
        with self._lock:
            self._started()

    def fork(self, channel: int, arena: int, status: int, limits: bytes) -> tuple[int, int]:
        """Return the process id of a new decoder, and a descriptor of the process."""
        with self._lock:
            for last in (False, True):
                try:
                    return self._fork(self._started(), channel, arena, status, limits)
                except ConnectionError:  # the server has ended
                    self._stop()
                    if last:
                        raise
        raise AssertionError

    def _started(self) -> socket.socket:
        if self._process is not None and self._process.poll() is not None:
            self._stop()
        if self._control is None:
            self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            paths = [str(Path(service.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
            environment = os.environ | {
                "PYTHONPATH": os.pathsep.join(filter(None, paths)),
                "OPENBLAS_NUM_THREADS": "1",  # a process with threads must not fork
            }
            with theirs:
                self._process = subprocess.Popen(  # noqa: S603 (our own module)
                    [sys.executable, "-m", "service.execution.decoders.fork_server", str(theirs.fileno())],
                    pass_fds=[theirs.fileno()],
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                )
        return self._control

    def close(self) -> None:
        """End the process, and with it all decoders."""
        with self._lock:
            self._stop()

    def _stop(self) -> None:
        if self._control is not None and self._process is not None:
            self._control.close()
            self._process.wait()
        self._control = self._process = None

    @staticmethod
    def _fork(control: socket.socket, channel: int, arena: int, status: int, limits: bytes) -> tuple[int, int]:
        socket.send_fds(control, [limits], [channel, arena, status])
        answer, handles, _, _ = socket.recv_fds(control, 32, 1)
        if not answer:
            raise ConnectionResetError
        if not handles:  # the system has no process or descriptor left; the other decoders go on
            raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        return int(answer), handles[0]


@cache
def fork_server() -> _ForkServer:
    """Return the fork server of this process."""
    server = _ForkServer()
    atexit.register(server.close)
    return server


class Delays(NamedTuple):
    """What a slow decoder affects outside of its process: both return contexts."""

    step_aside: Callable[[], AbstractContextManager[None]]  # lets other work have the core meanwhile
    large: Callable[[], AbstractContextManager[None]]  # waits until no other decoder uses much memory


class DecoderProcess:
    """One decoder. Not thread-safe, except for `kill`."""

    def __init__(self, limits: DecoderLimits, delays: Delays) -> None:
        self.limits, self._delays = limits, delays
        self.upload = NO_UPLOAD  # the number of the upload that it keeps open
        self.slow = False  # at low priority, which cannot be raised again
        self.out_of_memory = False  # it ends by itself
        self._lock, self._closed = Lock(), False
        with ExitStack() as failed, ExitStack() as always:
            self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
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

    @property
    def spent(self) -> bool:
        """Whether it can serve the upload that it keeps open at most."""
        return self.slow or self.out_of_memory

    @property
    def alive(self) -> bool:
        """Whether the process has not ended."""
        return not _is_readable(self._handle, 0)

    def ask(self, request: Request, descriptors: list[int]) -> Reply:
        """Return the answer to a request.

        Raises
        ------
        DecoderEnded
            The process was killed, crashed, or answered nonsense.
        """
        before = self._cpu_s()
        try:
            with ExitStack() as delayed:
                step_aside, wait = (cache(partial(self._enter, delayed, each)) for each in self._delays)
                if COPIES_OF_FILE * request.length > LARGE and request.source == "arena":
                    step_aside()
                    wait()
                socket.send_fds(self._channel, [json.dumps(request).encode()], descriptors)
                while True:
                    reply = Reply.model_validate_json(self._receive(before, step_aside))
                    if reply.large:
                        step_aside()
                        wait()
                    elif reply.space is not None:
                        self.arena.grow(min(reply.space, self.limits.memory))
                    else:
                        self.out_of_memory = reply.problem is not None and reply.problem.code == DecodeLimit.code
                        return reply
                    self._channel.send(GO)
        except TimeoutError:  # hung
            raise DecoderEnded(-signal.SIGPROF) from None
        except ValidationError:  # a decoder that answers nonsense has been taken over
            raise DecoderEnded(1) from None
        except OSError:  # it has closed the channel, or is about to
            raise DecoderEnded(self._exit_status()) from None

    @staticmethod
    def _enter(stack: ExitStack, context: Callable[[], AbstractContextManager[None]]) -> None:
        stack.enter_context(context())

    def _receive(self, before: float, step_aside: Callable[[], None]) -> bytes:
        """Return the next message; lower the priority of a process that is at work after `_SLOW_S`."""
        deadline = time.monotonic() + self.limits.wall_s
        self._channel.settimeout(_SLOW_S)
        while True:
            try:
                message = self._channel.recv(MAX_MESSAGE)
            except TimeoutError:
                if time.monotonic() > deadline:
                    raise
                if self._cpu_s() - before > _SLOW_S / 2:
                    step_aside()
                    if not self.slow:
                        self.slow = True
                        with suppress(OSError):
                            os.setpriority(os.PRIO_PROCESS, self.id, _LOW_PRIORITY)
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
        if not _is_readable(self._status, _EXIT_STATUS_S):
            return 1
        # Without a status the fork server has ended, and its decoders with it: that says nothing about the file.
        return int(os.read(self._status, 16) or -signal.SIGKILL)


def _is_readable(descriptor: int, seconds: float) -> bool:
    poll = select.poll()  # `select` fails for descriptors above 1023
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(1000 * seconds))
