"""The plan of a table, stored next to its parts, so that rows of two models, programs or sources never mix.

The listing of the source is written once, shard by shard, so that every run and every machine sees the same files.
"""

import hashlib
from collections.abc import Iterable, Iterator
from functools import partial
from typing import IO, NamedTuple

import pyarrow as pa
from pyarrow import parquet
from pydantic import Field

from service.imaging.frame import Limits
from service.inference.package import ModelPackage
from service.jobs import JobError
from service.jobs.journal import JobKey
from service.jobs.listing import FileEntry
from service.jobs.rows import SkippedFile
from service.jobs.tables.storage import Storage
from service.schemas import Schema

PLAN, LISTING = "_table.json", "_listing.parquet"

_LISTING_SCHEMA = pa.schema([("file", pa.string()), ("size", pa.int64()), ("modified_ns", pa.int64())])


_DIFFERENCES = {
    "format": "it was written by another version of this program",
    "planes": "it holds answers of another model",
    "max_upload_bytes": "FETAL_PLANES_MAX_UPLOAD_BYTES had another value",
    "max_frame_pixels": "FETAL_PLANES_MAX_FRAME_PIXELS had another value",
    "shard_files": "--shard-files had another value",
    "shard_bytes": "--shard-bytes had another value",
    "audit_columns": "--audit-columns, --site or the site's secret had another value",
    "listing_sha256": "files of the source were added, removed or changed",
}


class Plan(Schema, extra="forbid"):
    """The contents of `_table.json`."""

    format: int = 2
    key: JobKey
    planes: tuple[str, ...]
    max_upload_bytes: int
    max_frame_pixels: int
    shard_files: int
    shard_bytes: int
    listing_sha256: str = Field(description="Hash of every file's path, size and time of change.")
    shards: int
    files: int
    bytes: int
    audit_columns: str | None = Field(default=None, description="What decides the columns of an audit.")

    def difference(self, earlier: "Plan") -> str | None:
        """Return what differs from an earlier plan, as a clause for a message; None if nothing does."""
        differences = (text for name, text in _DIFFERENCES.items() if getattr(earlier, name) != getattr(self, name))
        return self.key.difference(earlier.key) or next(differences, None)

    def part(self, number: int) -> str:
        """Return the file name of a shard's rows. The name depends on everything in the plan."""
        name = hashlib.sha256(f"{self.model_dump_json(exclude_none=True)}\n{number}".encode()).hexdigest()[:16]
        return f"batch={number // 1000:04d}/part-{number:06d}-{name}.parquet"


class ShardSize(NamedTuple):
    """The largest number of files and of bytes in a shard; a file with more bytes is a shard of its own."""

    files: int
    bytes: int


def make_plan(
    source: Storage,
    out: Storage,
    package: ModelPackage,
    limits: Limits,
    size: ShardSize,
    audit_columns: str | None = None,
) -> tuple[Plan, list[SkippedFile]]:
    """Write the plan of a new table, or check that the plan of an existing one still holds.

    Return the plan, and the files that it leaves out unread. Raises `JobError` if `out` holds a table of another job,
    or other files; also if `source` has no files, or a folder cannot be read or written.
    """
    exists = out.has(PLAN)
    if not exists and out.has_foreign_files():
        raise JobError(f"{out.root} holds files that belong to no table; choose another folder")
    skipped: list[SkippedFile] = []
    write = partial(_write_listing, source, size, skipped)
    # The mock stream keeps nothing: only the listing's digest and sums are compared.
    listing = write(pa.MockOutputStream()) if exists else out.write(LISTING, write)
    if not listing.files and not skipped:
        raise JobError(f"{source.root} has no files")
    plan = Plan(
        key=JobKey.of(package),
        planes=tuple(plane.id for plane in package.manifest.planes),
        max_upload_bytes=limits.max_bytes,
        max_frame_pixels=limits.max_pixels,
        shard_files=size.files,
        shard_bytes=size.bytes,
        audit_columns=audit_columns,
        **listing._asdict(),
    )
    if not exists:
        out.write(PLAN, lambda stream: stream.write(plan.model_dump_json(indent=2).encode()))
    elif difference := plan.difference(read_plan(out)):
        raise JobError(f"{out.root} cannot be continued: {difference}; choose another folder")
    return plan, skipped


def read_plan(out: Storage) -> Plan:
    """Return the plan of a table; raises `JobError` if the file is not a plan."""
    try:
        return Plan.model_validate_json(out.read(PLAN))
    except ValueError as error:
        raise JobError(f"{out.path(PLAN)} is not a plan of this program") from error


class _Listing(NamedTuple):
    listing_sha256: str
    shards: int
    files: int
    bytes: int


def _write_listing(
    source: Storage, size: ShardSize, skipped: list[SkippedFile], stream: IO[bytes] | pa.NativeFile
) -> _Listing:
    """Write the files of a source, one row group per shard; one shard of it is in memory. Add to `skipped`."""
    digest = hashlib.sha256()
    shards = files = total = 0
    with parquet.ParquetWriter(stream, _LISTING_SCHEMA) as writer:
        for shard in make_shards(_inputs(source, skipped), size):
            for entry in shard:
                digest.update(f"{entry.file}\0{entry.size}\0{entry.modified_ns}\n".encode())
            writer.write_table(pa.Table.from_pylist([entry._asdict() for entry in shard], _LISTING_SCHEMA))
            shards, files, total = shards + 1, files + len(shard), total + sum(entry.size for entry in shard)
    return _Listing(digest.hexdigest(), shards, files, total)


def _inputs(source: Storage, skipped: list[SkippedFile]) -> Iterator[FileEntry]:
    for entry in source.walk():
        if entry.skipped is None:
            yield entry
        else:
            skipped.append(SkippedFile(file=entry.file, reason=entry.skipped))


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
