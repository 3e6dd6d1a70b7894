"""The service's side of the process that forks decoders."""

import atexit
import errno
import os
import socket
import subprocess
import sys
from functools import cache
from pathlib import Path
from threading import Lock

import service


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
