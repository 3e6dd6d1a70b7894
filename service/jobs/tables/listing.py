"""The listing of a source: written once, shard by shard, so that every run and every machine sees the same files."""

import hashlib
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import pyarrow as pa
from pyarrow import parquet

from service.jobs.files import FileEntry
from service.jobs.tables.storage import Storage

LISTING = "_listing.parquet"

_SCHEMA = pa.schema([("file", pa.string()), ("size", pa.int64()), ("modified_ns", pa.int64())])


class ShardSize(NamedTuple):
    """The largest number of files and of bytes in a shard; a file with more bytes is a shard of its own."""

    files: int
    bytes: int


class ListingSummary(NamedTuple):
    """The sha256 of a listing, and the number of shards, files and bytes in it."""

    sha256: str
    shards: int
    files: int
    bytes: int


def make_shards(entries: Iterable[FileEntry], size: ShardSize) -> Iterator[list[FileEntry]]:
    """Group entries into shards, in their order."""
    shard: list[FileEntry] = []
    total = 0
    for entry in entries:
        if shard and (len(shard) == size.files or total + entry.size > size.bytes):
            yield shard
            shard, total = [], 0
        shard.append(entry)
        total += entry.size
    if shard:
        yield shard


def summarize(source: Storage, size: ShardSize) -> ListingSummary:
    """List a source without writing anything; raises `StorageError`."""
    return _list(source, size, None)


def write_listing(source: Storage, out: Storage, size: ShardSize) -> ListingSummary:
    """List a source into `out`, one row group per shard; one shard of it is in memory. Raises `StorageError`."""
    summary: list[ListingSummary] = []

    def fill(stream: pa.NativeFile) -> None:
        with parquet.ParquetWriter(stream, _SCHEMA) as writer:
            summary.append(_list(source, size, writer))

    out.write(LISTING, fill)
    return summary[0]


def _list(source: Storage, size: ShardSize, writer: parquet.ParquetWriter | None) -> ListingSummary:
    digest = hashlib.sha256()
    shards = files = total = 0
    for shard in make_shards(source.walk(), size):
        for entry in shard:
            digest.update(f"{entry.file}\0{entry.size}\0{entry.modified_ns}\n".encode())
        if writer is not None:
            writer.write_table(pa.Table.from_pylist([entry._asdict() for entry in shard], _SCHEMA))
        shards, files, total = shards + 1, files + len(shard), total + sum(entry.size for entry in shard)
    return ListingSummary(digest.hexdigest(), shards, files, total)


class Listing:
    """A written listing, read shard by shard by one thread."""

    def __init__(self, out: Storage) -> None:
        self._file = parquet.ParquetFile(out.open(LISTING))

    def shard(self, number: int) -> list[FileEntry]:
        """Return the files of a shard."""
        return [FileEntry(**row) for row in self._file.read_row_group(number).to_pylist()]
