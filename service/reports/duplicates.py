"""Find files of an exam that have the same bytes; `service/web/duplicates.js` does the same in the page."""

import hashlib
import os
from collections import defaultdict
from collections.abc import Sequence
from functools import partial

from service.analysis.batch import File, Runner
from service.errors import Problem
from service.imaging.files.local_file import LazyFile, LocalFile, Upload
from service.schemas.batch import Source
from service.schemas.exam import Duplicate

_GROUP_BYTES, _LEAST_BYTES = 4 * 2**20, 16 * 1024  # that a job hashes, in some 5 ms; that a file counts for


async def find_duplicates(files: Sequence[File], run: Runner) -> list[Duplicate]:
    """Return the files that have the same bytes as an earlier one, in order; files that cannot be read have none."""
    first: dict[str, Source] = {}
    found = []
    for group in await run(partial(_same_size, files)):
        for file, digest in zip(group, await run(partial(_digests, group)), strict=True):
            source = Source(file=file.number, name=file.name, frame=None)
            if digest is not None and (same := first.setdefault(digest, source)) is not source:
                found.append(Duplicate(source=source, same_as=same))
    return sorted(found, key=lambda each: each.source.file)


def _same_size(files: Sequence[File]) -> list[list[File]]:
    """Return the files that have the size of another one, in groups that are hashed at once.

    Only they are read, as a folder may hold many gigabytes. Thousands of small files in a job each would keep the event
    loop busy.
    """
    by_size = defaultdict[int | None, list[File]](list)
    for file in files:
        by_size[_size(file)].append(file)
    groups: list[list[File]] = []
    for size, same in by_size.items():
        if size is not None and len(same) > 1:
            count = max(1, _GROUP_BYTES // max(size, _LEAST_BYTES))
            groups += [same[start : start + count] for start in range(0, len(same), count)]
    return groups


def _size(file: File) -> int | None:
    try:
        upload = file.read()
        if isinstance(upload, LocalFile):
            return upload.path.stat().st_size
        return upload.size if isinstance(upload, LazyFile) else len(upload)
    except (Problem, OSError):
        return None


def _digests(group: Sequence[File]) -> list[str | None]:
    return [_digest(file) for file in group]


def _digest(file: File) -> str | None:
    try:
        return _hash(file.read())
    except (Problem, OSError):
        return None


def _hash(upload: Upload) -> str:
    if isinstance(upload, LocalFile):
        with os.fdopen(upload.open(), "rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    return hashlib.sha256(upload.read() if isinstance(upload, LazyFile) else upload).hexdigest()
