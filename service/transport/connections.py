"""Bound the number of open connections below the process's limit on open files."""

import logging
import math
import resource
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Protocol

_LOG = logging.getLogger("fetal_planes.connections")

_MOST = 2048  # connections; each holds up to some 0.1 MiB of a request's head and of a reply
_LEAST = 16
_USED = 64  # open files, where the system does not list them
_SERVED = 0.75  # of the free files are for connections that are served, and
_ACCEPTED = 0.875  # for these and those that are refused; the rest is for the decoders, a reload and the like
_IDLE_S = 1.0  # seconds without a request until a connection may be refused for another one
_SILENT_S = 0.25  # seconds without a byte from a refused client until its connection may be closed for another one
_CROWDED = 0.9


def free_files() -> int:
    """Return the number of files that this process can still open, at most as many as `_MOST` connections need."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if most == resource.RLIM_INFINITY:
        return round(_MOST / _SERVED)
    files = Path("/proc/self/fd")
    used = len(list(files.iterdir())) if files.exists() else _USED
    return min(round(_MOST / _SERVED), max(_LEAST, most - used))


@dataclass(frozen=True, slots=True)
class TimeLimits:
    """How long clients may take: `transfer_s` seconds for each `transfer_bytes` that they send or read."""

    transfer_s: float
    transfer_bytes: int

    def seconds(self, count: int) -> float:
        """Return the time for a transfer of `count` bytes."""
        return self.transfer_s * max(1, math.ceil(count / self.transfer_bytes))


class Connection(Protocol):
    """What `Connections` needs of a connection."""

    def refuse(self) -> None:
        """Answer 503 to a request that may be on its way, and end it when its client has left."""

    def close(self) -> None:
        """Close it at once."""


class Connections:
    """Counts connections, and knows which of them may be closed. Runs on the event loop only."""

    def __init__(self, time_limits: TimeLimits) -> None:
        self.time_limits = time_limits
        self.free_files = free_files()
        self._open = set[Connection]()
        self._idle: dict[Connection, float] = {}  # waiting for a request since; the longest comes first
        self._refused: dict[Connection, float] = {}  # silent since; the longest comes first
        self._warn = OncePerSecond()

    @property
    def full(self) -> bool:
        """Whether no further connection can be accepted, not even to refuse it."""
        if len(self._open) + len(self._refused) < _ACCEPTED * self.free_files:
            return False
        oldest = _first(self._refused, _SILENT_S)
        if oldest is not None:
            del self._refused[oldest]
            oldest.close()
        return oldest is None

    @property
    def crowded(self) -> bool:
        """Whether replies should end their connections, so that other clients get one."""
        return len(self._open) >= _CROWDED * _SERVED * self.free_files

    def enter(self, connection: Connection) -> None:
        """Count a new connection. At the limit refuse an idle one for it, or itself where none is idle."""
        self._open.add(connection)
        if len(self._open) > _SERVED * self.free_files:
            self._warn(logging.WARNING, "connections are at their limit; those without a request get 503")
            surplus = _first(self._idle, _IDLE_S) or connection
            self.leave(surplus)
            self._refused[surplus] = monotonic()
            surplus.refuse()
        if connection in self._open:
            self.idle(connection)

    def leave(self, connection: Connection) -> None:
        """Forget a connection."""
        self._idle.pop(connection, None)
        self._refused.pop(connection, None)
        self._open.discard(connection)

    def heard(self, connection: Connection) -> None:
        """Note that a connection's client still sends."""
        if self._refused.pop(connection, None) is not None:
            self._refused[connection] = monotonic()

    def idle(self, connection: Connection) -> None:
        """Note that a connection waits for a request from now on."""
        self._idle.pop(connection, None)
        self._idle[connection] = monotonic()

    def busy(self, connection: Connection) -> None:
        """Note that a connection has a request in progress."""
        self._idle.pop(connection, None)


def _first(connections: dict[Connection, float], after_s: float) -> Connection | None:
    """Return the first connection if it has been in the dict for `after_s` seconds."""
    connection, since = next(iter(connections.items()), (None, 0.0))
    return connection if monotonic() - since >= after_s else None


class OncePerSecond:
    """Logs at most one line per second, with the number of lines that it left out since the last one."""

    def __init__(self) -> None:
        self._next = 0.0
        self._left_out = 0

    def __call__(self, level: int, message: str) -> None:
        """Log the message, or count it."""
        if monotonic() < self._next:
            self._left_out += 1
            return
        _LOG.log(level, message, extra={"left_out": self._left_out})
        self._next, self._left_out = monotonic() + 1, 0
