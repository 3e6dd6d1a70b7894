"""Replaces the ZIP archives of an upload by the files in them."""

from collections.abc import Iterable
from contextlib import suppress
from functools import partial

from service.analysis.batch import File
from service.errors import Problem, UploadTooLarge
from service.imaging.files.archive import Member, is_zip, list_members, open_bytes
from service.imaging.files.local_file import Upload
from service.jobs.listing import skip_reason


def expand_archives(
    body: bytes, parts: Iterable[tuple[slice, str | None]], max_files: int, max_bytes: int
) -> list[File]:
    """Return the files of an upload, numbered from 0; a ZIP archive counts as the files in it.

    Parameters
    ----------
    body, parts
        The upload, and where each file is in it, with its name.
    max_files
        Files of all archives and outside of them; raises `UploadTooLarge` where there are more.
    max_bytes
        Of a file in an archive.
    """
    files: list[File] = []
    for part, name in parts:
        for file in _expand(body, part, name, max_files, max_bytes):
            if len(files) == max_files:
                raise UploadTooLarge(f"The upload has more files than the limit of {max_files}.")
            files.append(file._replace(number=len(files)))
    return files


def _expand(body: bytes, part: slice, name: str | None, max_files: int, max_bytes: int) -> list[File]:
    start, stop, _ = part.indices(len(body))
    whole = File(0, name, partial[bytes](body.__getitem__, part), stop - start)
    if not is_zip(body[start : min(stop, start + 4)]):
        return [whole]
    try:
        members = list_members(open_bytes(body, part), max_files)
    except Problem as problem:
        return [whole._replace(read=partial(_refuse, problem), size=None)]
    prefix = "" if name is None else f"{name}/"
    return [
        File(0, f"{prefix}{each.name}", partial(each.read, max_bytes), each.size, partial(_companion, each, max_bytes))
        for each in members
        if skip_reason(each.name) is None
    ]


def _refuse(problem: Problem) -> Upload:
    raise problem


def _companion(member: Member, max_bytes: int) -> str | None:
    """Return what a refused file of an archive is that holds no frame, as in a folder."""
    with suppress(ImportError, Problem):  # without the extra `dicom`, or damaged
        from service.jobs.companions import companion_kind

        data = member.read(max_bytes)
        return companion_kind(member.name, lambda length: data[:length], max_bytes)
    return None
