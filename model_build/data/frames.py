"""Decode frames with the service's decoder, once: a cache file on disk is memory-mapped by all training processes."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from tqdm import tqdm

from model_build.data.records import DataError, Frame, FrameLoader, Record
from service.analysis.code_digest import decision_digest
from service.errors import Problem
from service.imaging.decode import decode_frame


def load_frames(records: Sequence[Record]) -> list[Frame]:
    """Decode every frame: gray uint8 [H, W], sizes differ; raises what `decode_record` raises."""
    return [decode_record(record) for record in tqdm(records, desc="decoding", unit="frame", disable=None)]


def decode_record(record: Record) -> Frame:
    """Decode one frame, gray uint8 [H, W]; raises DataError, which names the file, where that fails."""
    try:
        return decode_frame(record.path.read_bytes()).pixels
    except Problem as error:
        raise DataError(f"{record.path} cannot be decoded: {error}") from error


def open_frames(records: Sequence[Record], cache: Path | None) -> FrameLoader:
    """Return a function that gives the frames of any of `records`; raises DataError where one cannot be decoded.

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
        record.path: pixels[offset : offset + height * width].reshape(height, width)
        for record, (offset, height, width) in index
    }
    return lambda some: [frame_of[record.path] for record in some]


def _cache_key(records: Sequence[Record]) -> str:
    digest = hashlib.sha256(decision_digest().encode())  # the decoder's sources, not a version that rarely changes
    for record in records:
        status = record.path.stat()
        digest.update(f"{record.path.resolve()}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


def _write_cache(records: Sequence[Record], file: Path) -> None:
    """Write the index, then rename the finished frames: an interrupted write leaves no cache file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    draft, index, offset = file.with_suffix(".new"), [], 0
    with draft.open("wb") as out:
        for frame in tqdm(_decode_ahead(records), total=len(records), desc="decoding", unit="frame", disable=None):
            out.write(frame.tobytes())
            index.append([offset, *frame.shape])
            offset += frame.size
    file.with_suffix(".json").write_text(json.dumps(index), "utf-8")
    draft.replace(file)


def _decode_ahead(records: Sequence[Record], ahead: int = 64) -> Iterator[Frame]:
    with ThreadPoolExecutor() as pool:  # threads scale: decoding releases the GIL
        for start in range(0, len(records), ahead):
            yield from pool.map(decode_record, records[start : start + ahead])
