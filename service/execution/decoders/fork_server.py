"""A process without a model that has loaded the decoders and forks one whenever the service asks for it.

Loading them takes a third of a second, a fork some milliseconds. The service has threads, and a fork of it would copy
the model and the keys.
"""

import atexit
import errno
import gc
import importlib
import os
import select
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path
from threading import Lock
from typing import NoReturn

import service
from service.process_setup import configure_process

_SETTINGS = "FETAL_PLANES_"
_ANSWER_S = 20  # seconds; a fork takes milliseconds, the server's start less than a second on an idle machine

_NICENESS = 5  # of decoders, beyond the service's: where cores are short, replies and health probes go first


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
                except (ConnectionError, TimeoutError):  # the server has ended, or somebody has stopped it
                    self._stop()
                    if last:
                        raise
        raise AssertionError

    def _started(self) -> socket.socket:
        if self._process is not None and self._process.poll() is not None:
            self._stop()
        if self._control is None:
            self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            self._control.settimeout(_ANSWER_S)
            paths = [str(Path(service.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
            # Settings stay here: a decoder that a file has taken over could read a database's password in them.
            inherited = {name: value for name, value in os.environ.items() if not name.upper().startswith(_SETTINGS)}
            environment = inherited | {
                "PYTHONPATH": os.pathsep.join(filter(None, paths)),
                "OPENBLAS_NUM_THREADS": "1",  # a process with threads must not fork
            }
            with theirs:
                self._process = subprocess.Popen(  # noqa: S603 (our own module)
                    [sys.executable, "-m", __name__, str(theirs.fileno())],
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
            self._process.kill()
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


def main(control: socket.socket) -> NoReturn:
    """Fork decoders until the service closes its end of `control`.

    Each message holds the limits of a decoder, with three descriptors: its channel, its arena, and a pipe for its exit
    status. The answer is the process id, with a descriptor of the process.
    """
    configure_process()
    from service.execution.decoders.decoding import run_decoder  # the service itself need not load the decoders

    with suppress(ImportError):  # the extra `dicom` is not installed
        importlib.import_module("service.imaging.dicom.image")  # once, instead of in every decoder
    os.nice(_NICENESS)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all processes; the service decides
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    gc.freeze()  # the collector would touch, and so copy, the pages that decoders share
    statuses: dict[int, tuple[int, int]] = {}  # by the descriptor of a process: its id, and its pipe
    poll = select.poll()
    poll.register(control, select.POLLIN)
    server = os.getpid()
    while True:
        for ready, _ in poll.poll():
            if ready != control.fileno():
                poll.unregister(ready)
                _report(ready, *statuses.pop(ready))
                continue
            message, received, _, _ = socket.recv_fds(control, 4096, 3)
            if not message:
                os._exit(0)
            channel, arena, status = received
            try:
                process = os.fork()
            except OSError:  # the system has no process left
                for descriptor in received:
                    os.close(descriptor)
                control.send(b"0")
                continue
            if not process:
                for descriptor in (control.fileno(), status, *statuses, *(pipe for _, pipe in statuses.values())):
                    os.close(descriptor)
                run_decoder(channel, arena, message, server)
            handle = os.pidfd_open(process)
            os.close(channel)
            os.close(arena)
            statuses[handle] = process, status
            poll.register(handle, select.POLLIN)
            socket.send_fds(control, [b"%d" % process], [handle])


def _report(handle: int, process: int, pipe: int) -> None:
    """Write the exit status of a process into its pipe: the code, or the negative number of the signal."""
    _, status = os.waitpid(process, 0)
    with suppress(BrokenPipeError):  # the service does not need it any more
        os.write(pipe, b"%d" % os.waitstatus_to_exitcode(status))
    os.close(pipe)
    os.close(handle)


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])))
