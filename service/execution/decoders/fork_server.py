"""A process without a model that has loaded the decoders and forks one whenever the service asks for it.

Loading them takes a third of a second, a fork some milliseconds. The service has threads, and a fork of it would copy
the model and the keys.
"""

import gc
import os
import select
import signal
import socket
import sys
from contextlib import suppress
from typing import NoReturn

from service.execution.decoders.decoding import run_decoder
from service.process_setup import configure_process


def main(control: socket.socket) -> NoReturn:
    """Fork decoders until the service closes its end of `control`.

    Each message holds the limits of a decoder, with three descriptors: its channel, its arena, and a pipe for its exit
    status. The answer is the process id, with a descriptor of the process.
    """
    configure_process()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all processes; the service decides
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    gc.freeze()  # the collector would touch, and so copy, the pages that decoders share
    statuses: dict[int, tuple[int, int]] = {}  # by the descriptor of a process: its id, and its pipe
    poll = select.poll()
    poll.register(control, select.POLLIN)
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
                run_decoder(channel, arena, message)
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
