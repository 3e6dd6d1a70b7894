"""Sockets that `serve` can listen on instead of an ordinary address: inherited, Unix, or IPv6 and IPv4 in one."""

import os
import socket
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from errno import EADDRINUSE
from pathlib import Path

from service.cli.arguments import CommandError

_FIRST_FD = 3  # sd_listen_fds(3)
_UNIX_MODE = 0o660  # owner and group: the proxy runs in the group


def inherited_sockets(environment: Mapping[str, str]) -> list[socket.socket]:
    """Return the sockets that systemd opened for this process, none where it did not (sd_listen_fds(3))."""
    if environment.get("LISTEN_PID") != str(os.getpid()):
        return []
    count = environment.get("LISTEN_FDS", "")
    if not count.isdecimal():
        raise CommandError(f"LISTEN_FDS={count!r} is not a number of sockets")
    return [socket_of(fd) for fd in range(_FIRST_FD, _FIRST_FD + int(count))]


def socket_of(fd: int) -> socket.socket:
    """Return the socket of an inherited file descriptor."""
    try:
        found = socket.socket(fileno=fd)
    except (OSError, ValueError) as error:
        raise CommandError(f"file descriptor {fd} is not a socket") from error
    with suppress(OSError):  # not connected, as it should be
        found.getpeername()
        found.close()
        raise CommandError(f"file descriptor {fd} is a connection; systemd passes the listening socket with Accept=no")
    if found.type != socket.SOCK_STREAM:
        found.close()
        raise CommandError(f"file descriptor {fd} is not a stream socket")
    found.set_inheritable(False)
    return found


def unix_socket(path: Path) -> socket.socket:
    """Return a Unix socket at a path, open to its owner and group. A socket that no process listens on is replaced."""
    opened = socket.socket(socket.AF_UNIX)
    opened.setblocking(False)  # the other side's queue may be full
    # The mode must be right from the first moment. No other thread creates files yet.
    mask = os.umask(0o777 & ~_UNIX_MODE)
    try:
        if path.is_socket():
            with suppress(ConnectionRefusedError):
                opened.connect(str(path))
                raise OSError(EADDRINUSE, os.strerror(EADDRINUSE))
            path.unlink()
        opened.bind(str(path))
    except OSError as error:
        opened.close()
        raise CommandError(f"{path} cannot be listened on: {error.strerror or error}") from error
    finally:
        os.umask(mask)
    return opened


def dual_stack_socket(port: int) -> socket.socket:
    """Return a socket bound to every IPv6 and IPv4 address of the machine."""
    with ExitStack() as cleanup:
        try:
            opened = cleanup.enter_context(socket.socket(socket.AF_INET6))
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)  # asyncio sets it to 1
            opened.bind(("::", port))
        except OSError as error:
            raise CommandError(f"port {port} cannot be listened on: {error.strerror}") from error
        cleanup.pop_all()
    return opened
