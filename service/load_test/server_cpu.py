"""The CPU time of a server on this machine (Linux): of the processes that listen on its port, and their descendants."""

import os
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_PROC = Path("/proc")
_LISTENS = "0A"  # TCP_LISTEN in /proc/net/tcp
_PARENT, _CHILDREN_USER, _CHILDREN_SYSTEM = 1, 13, 14  # fields of /proc/PID/stat after the command, from 0


def listeners(port: int) -> set[int]:
    """Return the ids of the processes that listen on a TCP port of this machine, as far as this user may see them."""
    sockets = {f"socket:[{inode}]" for inode in _listening_inodes(port)}
    found = set()
    for process in _processes() if sockets else ():
        with suppress(OSError):  # it has ended, or belongs to another user
            if any(str(file.readlink()) in sockets for file in (_PROC / str(process) / "fd").iterdir()):
                found.add(process)
    return found


def cpu_seconds(roots: set[int]) -> float:
    """Return the user and system time of processes and their descendants so far, those included that have ended."""
    children, ended = defaultdict[int, list[int]](list), dict[int, float]()
    for process in _processes():
        with suppress(OSError):
            fields = (_PROC / str(process) / "stat").read_text().rpartition(")")[2].split()
            children[int(fields[_PARENT])].append(process)
            ticks = int(fields[_CHILDREN_USER]) + int(fields[_CHILDREN_SYSTEM])
            ended[process] = ticks / os.sysconf("SC_CLK_TCK")
    seconds, todo = 0.0, list(roots)
    while todo:
        process = todo.pop()
        with suppress(OSError):
            seconds += time.clock_gettime((~process << 3) | 2)  # clock_getcpuclockid: exact to the nanosecond
        seconds += ended.get(process, 0.0)
        todo += children[process]
    return seconds


def _processes() -> list[int]:
    return [int(entry.name) for entry in _PROC.iterdir() if entry.name.isdecimal()] if _PROC.exists() else []


def _listening_inodes(port: int) -> Iterator[str]:
    for table in ("tcp", "tcp6"):
        with suppress(OSError):
            for line in (_PROC / "net" / table).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == _LISTENS and int(fields[1].rpartition(":")[2], 16) == port:
                    yield fields[9]
