"""Decode frames with the service's decoder, once: a cache file on disk is memory-mapped by all training processes."""

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from pathlib import Path

import numpy as np
from tqdm import tqdm

from model_build.data.records import DataError, Frame, FrameLoader, Record, listing
from service.analysis.code_digest import decision_digest
from service.errors import Problem
from service.imaging.decode import open_frames as open_upload
from service.imaging.files.local_file import LocalFile
from service.imaging.frame import DEFAULT_LIMITS, Limits
from service.imaging.frame import Frame as FileFrame
from service.imaging.frame import Frames as FileFrames

_AHEAD = 64  # frames that are decoded before they are needed, to bound the memory


def load_frames(records: Sequence[Record]) -> list[Frame]:
    """Decode every frame: gray uint8 [H, W], sizes differ.

    Raises
    ------
    DataError
        Frames cannot be decoded; the message names each of them with the reason.
    """
    return list(_decode(records))


def open_file(path: Path) -> FileFrames[FileFrame]:
    """Open a file of any size; raises what `service.imaging.decode.open_frames` raises, and NotFound."""
    data = LocalFile(path).read()
    # The limit on bytes protects a server; these files are the user's own.
    return open_upload(data, Limits(max(len(data), DEFAULT_LIMITS.max_bytes), DEFAULT_LIMITS.max_pixels))


def open_frames(records: Sequence[Record], cache: Path | None) -> FrameLoader:
    """Return a function that gives the frames of any of `records`; raises what `load_frames` raises.

    `cache` is a folder for decoded frames, one byte per pixel; None decodes at every call. A changed file (size or time
    of change) or a change of the code that decodes makes a new cache file.
    """
    if cache is None or not records:
        return load_frames
    file = cache / f"{_cache_key(records)}.frames"
    if not file.exists():
        _write_cache(records, file)
    pixels = np.asarray(np.memmap(file, np.uint8, "r"))  # loader processes are forks and share the mapping
    index = zip(records, json.loads(file.with_suffix(".json").read_text("utf-8")), strict=True)
    frame_of = {
        record.key: pixels[offset : offset + height * width].reshape(height, width)
        for record, (offset, height, width) in index
    }
    return lambda some: [frame_of[record.key] for record in some]


def _cache_key(records: Sequence[Record]) -> str:
    digest = hashlib.sha256(decision_digest().encode())  # the decoder's sources, not a version that rarely changes
    for record in records:
        status = record.path.stat()
        digest.update(os.fsencode(record.path.resolve()))
        digest.update(f"\0{record.index}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


def _write_cache(records: Sequence[Record], file: Path) -> None:
    """Write the index, then rename the finished frames: an interrupted write leaves no cache file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    draft, index, offset = file.with_suffix(".new"), [], 0
    try:
        with draft.open("wb") as out:
            for frame in _decode(records):
                out.write(frame.tobytes())
                index.append([offset, *frame.shape])
                offset += frame.size
    except DataError:
        draft.unlink()
        raise
    file.with_suffix(".json").write_text(json.dumps(index), "utf-8")
    draft.replace(file)


def _decode(records: Sequence[Record]) -> Iterator[Frame]:
    """Yield the frames; after the last one, raise DataError that names those that could not be decoded."""
    refused: list[str] = []
    bar = tqdm(total=len(records), desc="decoding", unit="frame", disable=None)
    with bar, ThreadPoolExecutor() as pool:  # threads scale: decoding releases the GIL
        for start in range(0, len(records), _AHEAD):
            files = [list(own) for _, own in groupby(records[start : start + _AHEAD], key=lambda record: record.path)]
            for own, results in zip(files, pool.map(decode_file, files), strict=True):
                for record, result in zip(own, results, strict=True):
                    if isinstance(result, Problem):
                        refused.append(f"{record.name}: {result}")
                    else:
                        yield result
                bar.update(len(own))
    if refused:
        raise DataError(listing(f"{len(refused)} of {len(records)} frames cannot be decoded:", refused))


def decode_file(records: Sequence[Record]) -> list[Frame | Problem]:
    """Decode frames of one file, gray uint8 [H, W] each, or the problem in place of a frame that is refused."""
    try:
        opened = open_file(records[0].path)
    except Problem as problem:
        return [problem] * len(records)
    return [_read(opened, record.index) for record in records]


def _read(opened: FileFrames[FileFrame], index: int) -> Frame | Problem:
    try:
        return opened.read(index).pixels
    except Problem as problem:
        return problem
