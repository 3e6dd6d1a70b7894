"""Read the memory, the files and the number of a process and its children (Linux, proc(5))."""

import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

_CGROUPS = Path("/sys/fs/cgroup")


class Usage(NamedTuple):
    """What a tree of processes holds."""

    pss: int  # bytes; memory that processes share counts once
    processes: int
    descriptors: int


class Peak:
    """The highest values that `watch` has seen."""

    def __init__(self) -> None:
        self.usage = Usage(0, 0, 0)

    def add(self, usage: Usage) -> None:
        """Raise each value to that of `usage`."""
        self.usage = Usage(*map(max, self.usage, usage))


def status_bytes(process: int | str, name: str) -> int:
    """Return a size from /proc/PID/status in bytes."""
    return _size(Path(f"/proc/{process}/status"), name)


def pss_bytes(process: int) -> int:
    """Return the proportional size of a process: each shared page counts in parts, one for each process that has it."""
    return _size(Path(f"/proc/{process}/smaps_rollup"), "Pss")


def _size(file: Path, name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB$", file.read_text(), re.MULTILINE)
    if found is None:
        raise OSError(f"{file} does not state {name}")
    return 1024 * int(found[1])


def tree(process: int) -> Iterator[int]:
    """Yield the process and all its descendants."""
    yield process
    with suppress(OSError):
        for task in Path(f"/proc/{process}/task").iterdir():
            for child in (task / "children").read_text().split():
                yield from tree(int(child))


def usage(process: int) -> Usage:
    """Return what a process and its descendants hold now."""
    pss = processes = descriptors = 0
    for each in tree(process):
        with suppress(OSError):  # it has ended
            pss += pss_bytes(each)
            descriptors += len(list(Path(f"/proc/{each}/fd").iterdir()))
            processes += 1
    return Usage(pss, processes, descriptors)


@contextmanager
def watch(process: int, every_s: float = 0.5) -> Iterator[Peak]:
    """Keep the highest usage of a process and its descendants within the block."""
    peak, done = Peak(), threading.Event()

    def look() -> None:
        while not done.wait(every_s):
            peak.add(usage(process))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield peak
    finally:
        done.set()
        thread.join()


@dataclass(frozen=True, slots=True)
class MemoryGroup:
    """A control group with a limit on memory, version 1 or 2."""

    folder: Path

    def add(self, process: int) -> None:
        """Move a process and all below it into the group."""
        for each in tree(process):
            (self.folder / "cgroup.procs").write_text(str(each))

    def kills(self) -> int:
        """Return the number of processes that the system killed in it for their memory."""
        files = [self.folder / "memory.events", self.folder / "memory.oom_control"]
        lines = next(file.read_text().splitlines() for file in files if file.exists())
        return int(dict(line.split() for line in lines)["oom_kill"])


@contextmanager
def memory_group(limit: int) -> Iterator[MemoryGroup | None]:
    """Return a new control group with a limit on memory, or None where this process may not make it.

    It needs the rights of root, and a system that delegates the memory controller.
    """
    name = f"fetal-planes-bench-{os.getpid()}"
    group = _CGROUPS / "memory" / name
    limits = {"memory.limit_in_bytes": limit}
    if not group.parent.is_dir():  # version 2
        group, limits = _CGROUPS / name, {"memory.max": limit, "memory.swap.max": 0}
    try:
        if "memory.max" in limits:
            (_CGROUPS / "cgroup.subtree_control").write_text("+memory")
        group.mkdir()
    except OSError:
        yield None
        return
    try:
        for file, value in limits.items():
            if (group / file).exists():  # a kernel without swap lacks one
                (group / file).write_text(str(value))
        yield MemoryGroup(group)
    finally:
        group.rmdir()
