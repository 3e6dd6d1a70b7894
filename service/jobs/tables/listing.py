"""What there is to classify, written down once, shard by shard, so that every run and every machine sees the same."""

import hashlib
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import pyarrow as pa
from pyarrow import parquet

from service.jobs.tables.storage import Entry, Storage

LISTING = "_listing.parquet"

_SCHEMA = pa.schema([("source", pa.string()), ("size", pa.int64()), ("changed", pa.int64())])


class ShardSize(NamedTuple):
    """How many files a shard has at most, and how many bytes; a longer file is a shard of its own."""

    files: int
    bytes: int


class Listed(NamedTuple):
    """A listing in brief: its sha256, and how many shards, files and bytes it has."""

    sha256: str
    shards: int
    files: int
    bytes: int


def make_shards(entries: Iterable[Entry], size: ShardSize) -> Iterator[list[Entry]]:
    """Put entries together to shards, in their order."""
    shard: list[Entry] = []
    held = 0
    for entry in entries:
        if shard and (len(shard) == size.files or held + entry.size > size.bytes):
            yield shard
            shard, held = [], 0
        shard.append(entry)
        held += entry.size
    if shard:
        yield shard


def survey(source: Storage, size: ShardSize) -> Listed:
    """What a source holds now, written nowhere; raises `PlaceError`."""
    return _go_through(source, size, None)


def write_listing(source: Storage, out: Storage, size: ShardSize) -> Listed:
    """The same, written into `out` with a row group for each shard; never more than a shard of it is in memory."""
    listed: list[Listed] = []

    def fill(stream: pa.NativeFile) -> None:
        with parquet.ParquetWriter(stream, _SCHEMA) as writer:
            listed.append(_go_through(source, size, writer))

    out.write(LISTING, fill)
    return listed[0]


def _go_through(source: Storage, size: ShardSize, writer: parquet.ParquetWriter | None) -> Listed:
    digest = hashlib.sha256()
    shards = files = held = 0
    for shard in make_shards(source.walk(), size):
        for entry in shard:
            digest.update(f"{entry.source}\0{entry.size}\0{entry.changed}\n".encode())
        if writer is not None:
            writer.write_table(pa.Table.from_pylist([entry._asdict() for entry in shard], _SCHEMA))
        shards, files, held = shards + 1, files + len(shard), held + sum(entry.size for entry in shard)
    return Listed(digest.hexdigest(), shards, files, held)


class Listing:
    """A listing that was written, read shard by shard; for one thread."""

    def __init__(self, out: Storage) -> None:
        self._file = parquet.ParquetFile(out.open(LISTING))

    def shard(self, number: int) -> list[Entry]:
        """The files of a shard."""
        return [Entry(**row) for row in self._file.read_row_group(number).to_pylist()]
