"""Files that are on the disk when a function returns, and that only their owner may read."""

import os
import secrets
from pathlib import Path

_KEY_BYTES = 32


def create(path: Path) -> int:
    """Return a descriptor of a new file, which no link can redirect; raises `OSError`."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), 0o600)


def write_flushed(path: Path, contents: bytes, drafts: Path) -> None:
    """Write a file that is whole or not there, whatever happens; raises `OSError`.

    `drafts` is a folder of the same file system. A killed process may leave a draft in it.
    """
    draft = drafts / secrets.token_hex(16)
    try:
        with os.fdopen(create(draft), "wb") as file:
            file.write(contents)
            file.flush()
            os.fsync(file.fileno())
        draft.rename(path)
        flush_folder(path.parent)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def flush_folder(folder: Path) -> None:
    """Flush the names in a folder to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_or_make_key(path: Path, drafts: Path) -> bytes:
    """Return the key in a file, which is made if there is none."""
    if not path.exists():
        write_flushed(path, secrets.token_bytes(_KEY_BYTES), drafts)
    return path.read_bytes()
