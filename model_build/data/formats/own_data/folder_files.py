"""The files of a folder: which hold frames and how many, and which are skipped for what reason."""

import os
from collections.abc import Iterator
from pathlib import Path

from model_build.data.frames import open_file
from model_build.data.records import DataError, Skipped
from service.errors import Problem
from service.imaging.files.formats import detect_format
from service.imaging.files.local_file import LocalFile
from service.jobs.companions import source_companion_kind
from service.schemas.file_names import path_text

_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".dcm", ".dicom"}
_HEAD = 65_536  # bytes; an animated PNG states that it is one before its first picture
# Names of operating systems, network drives and notebooks, in small letters; a name with a leading dot is one, too.
_SYSTEM = {
    "__macosx", "__pycache__", "@eadir", "@recycle", "@recently-snapshot", "@tmp", "#recycle", "#snapshot",
    "$recycle.bin", "recycler", "recycled", "system volume information", "lost+found", "found.000",
    "thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "icon\r", "autorun.inf",
}  # fmt: skip


def is_system_name(name: str) -> bool:
    """Return whether a file or folder belongs to the operating system or to a tool: it is ignored with all in it."""
    return name.startswith((".", "~$")) or name.casefold() in _SYSTEM


def walk(folder: Path, skipped: list[Skipped], above: tuple[str, ...] = ()) -> Iterator[Path]:
    """Yield the files and the empty folders below a folder; links are followed, system names are ignored.

    What cannot be followed is added to `skipped`. Raises DataError where a folder cannot be read.
    """
    real = os.path.realpath(folder)
    if real in above:
        skipped.append(Skipped(folder, "a link to a folder above it"))
        return
    try:
        paths = sorted(path for path in folder.iterdir() if not is_system_name(path_text(path.name)))
    except OSError as error:
        raise DataError(f"{path_text(folder)} cannot be read: {error.strerror}") from error
    if not paths:
        yield folder
    for path in paths:
        if path.is_dir():
            yield from walk(path, skipped, (*above, real))
        elif path.is_file():
            yield path
        else:
            skipped.append(Skipped(path, "a broken link" if path.is_symlink() else "not a regular file"))


def count_frames(file: Path) -> int:
    """Return the number of frames of a file; raises Problem where it holds none.

    A picture that is damaged or cannot be read has one frame: it is refused by name when it is decoded.
    """
    try:
        with file.open("rb") as content:
            head = content.read(_HEAD)
        kind = detect_format(head)
    except OSError:
        return 1
    except Problem:
        if file.suffix.lower() in _SUFFIXES:
            return 1
        raise
    if kind in ("jpeg", "bmp") or (kind == "png" and b"acTL" not in head):
        return 1
    try:
        return open_file(file).count
    except Problem:
        if source_companion_kind(path_text(file), LocalFile(file)) is not None:
            raise
        return 1
