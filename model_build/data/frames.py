"""Decoded frames on disk, mapped into memory: decoded once, shared by all processes that train on them."""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from model_build.data.records import Record, decode_record, load_frames
from service import __version__

Frame = NDArray[np.uint8]
Opener = Callable[[Sequence[Record]], Sequence[Frame]]


class MappedFrames(Sequence[Frame]):
    """Gray frames uint8 [H, W] in one file, read-only; `index` int64 [N, 3]: offset, height and width of each."""

    def __init__(self, file: Path, index: NDArray[np.int64]) -> None:
        self._file, self._index = file, index
        self._bytes: Frame | None = None

    def __len__(self) -> int:
        return len(self._index)

    def __getitem__(self, row: int) -> Frame:  # type: ignore[override]  # no slices are wanted
        if self._bytes is None:  # in each process for itself: a mapping is not pickled
            self._bytes = np.memmap(self._file, np.uint8, "r")
        offset, height, width = self._index[row]
        return np.asarray(self._bytes[offset : offset + height * width]).reshape(height, width)

    def __getstate__(self) -> dict[str, object]:
        return self.__dict__ | {"_bytes": None}

    def take(self, rows: Sequence[int]) -> "MappedFrames":
        """The same for some of the frames."""
        return MappedFrames(self._file, self._index[list(rows)])


def open_frames(records: Sequence[Record], cache: Path | None) -> Opener:
    """Frames of any of the records: decoded when asked for, or out of a cache that is made here where it is missing.

    The cache is made anew where a file has another size or time of change, or the service another version. It takes as
    many bytes as the frames have pixels.

    Raises
    ------
    DataError
        A file cannot be decoded; the message names it.
    """
    if cache is None or not records:
        return load_frames
    file = cache / f"{_key(records)}.frames"
    if not file.exists():
        _write(records, file)
    mapped = MappedFrames(file, np.array(json.loads(file.with_suffix(".json").read_text("utf-8")), np.int64))
    row_of = {record.path: row for row, record in enumerate(records)}
    return lambda some: mapped.take([row_of[record.path] for record in some])


def _key(records: Sequence[Record]) -> str:
    digest = hashlib.sha256(__version__.encode())
    for record in records:
        about = record.path.stat()
        digest.update(f"{record.path.resolve()}\0{about.st_size}\0{about.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


def _write(records: Sequence[Record], file: Path) -> None:
    """Write the frames and their index; the frames get their name last, when all are there."""
    file.parent.mkdir(parents=True, exist_ok=True)
    draft, index, offset = file.with_suffix(".new"), [], 0
    with draft.open("wb") as out:
        for frame in tqdm(_decoded(records), total=len(records), desc="decoding", unit="frame", disable=None):
            out.write(frame.tobytes())
            index.append([offset, *frame.shape])
            offset += frame.size
    file.with_suffix(".json").write_text(json.dumps(index), "utf-8")
    draft.replace(file)


def _decoded(records: Sequence[Record], ahead: int = 64) -> Iterator[Frame]:
    with ThreadPoolExecutor() as pool:  # decoding leaves the interpreter's lock
        for start in range(0, len(records), ahead):
            yield from pool.map(decode_record, records[start : start + ahead])
