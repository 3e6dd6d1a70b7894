"""The plan of a table, stored next to its parts, so that rows of two models, programs or sources never mix."""

import hashlib

from pydantic import BaseModel, ConfigDict, Field

from service.analysis.code_digest import decision_digest
from service.imaging.frame import Limits
from service.inference.package import ModelPackage
from service.jobs import JobError
from service.jobs.journal import JobKey
from service.jobs.tables.listing import ShardSize, summarize, write_listing
from service.jobs.tables.storage import Storage

PLAN = "_table.json"
FORMAT = 1


class PlanError(JobError):
    """The folder of a table belongs to another job; the message says what differs."""


class Plan(BaseModel):
    """The contents of `_table.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = FORMAT
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

    @property
    def limits(self) -> Limits:
        """The limits on one file."""
        return Limits(self.max_upload_bytes, self.max_frame_pixels)

    def part(self, number: int) -> str:
        """Return the file name of a shard's rows. The name depends on everything in the plan."""
        name = hashlib.sha256(f"{self.model_dump_json()}\n{number}".encode()).hexdigest()[:16]
        return f"batch={number // 1000:04d}/part-{number:06d}-{name}.parquet"


_DIFFERENCES = {
    "format": "it was written by another version of this program",
    "planes": "it holds answers of another model",
    "max_upload_bytes": "FETAL_PLANES_MAX_UPLOAD_BYTES had another value",
    "max_frame_pixels": "FETAL_PLANES_MAX_FRAME_PIXELS had another value",
    "shard_files": "--shard-files had another value",
    "shard_bytes": "--shard-bytes had another value",
    "listing_sha256": "files of the source were added, removed or changed",
}


def make_plan(source: Storage, out: Storage, package: ModelPackage, limits: Limits, size: ShardSize) -> Plan:
    """Write the plan of a new table, or check that the plan of an existing one still holds.

    Raises
    ------
    PlanError
        `out` holds a table of another job, or other files.
    StorageError
        A folder cannot be read or written.
    """
    exists = out.has(PLAN)
    if not exists and out.has_foreign_files():
        raise PlanError(f"{out.root} holds files that belong to no table; choose another folder")
    listing = summarize(source, size) if exists else write_listing(source, out, size)
    plan = Plan(
        key=current_key(package),
        planes=tuple(plane.id for plane in package.manifest.planes),
        max_upload_bytes=limits.max_bytes,
        max_frame_pixels=limits.max_pixels,
        shard_files=size.files,
        shard_bytes=size.bytes,
        listing_sha256=listing.sha256,
        shards=listing.shards,
        files=listing.files,
        bytes=listing.bytes,
    )
    if exists:
        _check_same(out, plan)
    else:
        out.write(PLAN, lambda stream: stream.write(plan.model_dump_json(indent=2).encode()))
    return plan


def current_key(package: ModelPackage) -> JobKey:
    """Return the key of a job that this process would begin."""
    return JobKey(model_sha256=package.sha256, decision_digest=decision_digest())


def read_plan(out: Storage) -> Plan:
    """Read the plan of a table.

    Raises
    ------
    PlanError
        The file is not a plan.
    """
    try:
        return Plan.model_validate_json(out.read(PLAN))
    except ValueError as error:
        raise PlanError(f"{out.path(PLAN)} is not a plan of this program") from error


def _check_same(out: Storage, plan: Plan) -> None:
    earlier = read_plan(out)
    difference = plan.key.difference(earlier.key) or next(
        (text for name, text in _DIFFERENCES.items() if getattr(earlier, name) != getattr(plan, name)), None
    )
    if difference is not None:
        raise PlanError(f"{out.root} cannot be continued: {difference}; choose another folder")
