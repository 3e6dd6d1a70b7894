"""Record which files this process opens for writing."""

import os
import sys
import threading
from collections.abc import Iterator
from typing import Any

WRITES: list[str] = []
WATCHING = threading.Event()


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open" and WATCHING.is_set() and (arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        WRITES.append(str(arguments[0]))


def watch_disk() -> Iterator[list[str]]:
    """Yield the list of files opened for writing while `WATCHING` is set."""
    if not getattr(sys, "_disk_is_watched", False):
        sys.addaudithook(_watch)
        sys._disk_is_watched = True  # type: ignore[attr-defined]
    yield WRITES
    WATCHING.clear()
    WRITES.clear()
