"""What jobs and commands write: files that appear whole, in a folder that one run at a time writes."""

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from service.jobs import JobError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_LOCK = ".fetal-planes.lock"
_DRAFT = ".fetal-planes-{}.part"  # never longer than the longest name of a file system, as the file's own name may be


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Open a file for writing; it appears whole at the end of the block, or not at all.

    Two writers never mix: the last one wins. A pipe or a device is written directly.
    """
    if path.exists() and not path.is_file():
        with path.open("wb") as file:
            yield file
        return
    path = path.resolve()  # a link stays a link
    draft = path.with_name(_DRAFT.format(uuid.uuid4().hex))
    try:
        with draft.open("xb") as file:
            yield file
        if path.exists():
            shutil.copymode(path, draft)
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)  # on a full disk, its room is needed
        raise


def write_whole(path: Path, contents: bytes) -> None:
    """Write a file that readers see either whole or not at all."""
    with whole_file(path) as file:
        file.write(contents)


def delete_drafts(folder: Path) -> None:
    """Delete the drafts that a killed run left in a folder, but not below it."""
    for draft in folder.glob(_DRAFT.format("*")):
        draft.unlink(missing_ok=True)


@contextmanager
def one_run(folder: Path) -> Iterator[None]:
    """Keep other runs out of a folder of results; the lock ends with the process, however that ends.

    Raises `JobError` if another run has the folder.
    """
    path = folder / _LOCK
    lock = _acquire(path, folder)
    try:
        yield
    finally:
        if lock is not None:
            path.unlink(missing_ok=True)  # while it is locked: nobody else can have taken it
            os.close(lock)


def _acquire(path: Path, folder: Path) -> int | None:
    while fcntl is not None:
        lock = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(lock)
            raise JobError(f"another run writes to {folder}; wait until it has ended") from error
        except OSError:  # the file system has no locks
            os.close(lock)
            return None
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(lock), path.stat()):
                return lock
        os.close(lock)  # its owner deleted it while this process opened it
    return None
