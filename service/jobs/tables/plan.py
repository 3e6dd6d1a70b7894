"""What a run has set out to do, pinned beside its results: rows of two models or two sources never mix."""

import hashlib

from pydantic import BaseModel, ConfigDict, Field

from service import __version__
from service.imaging.frame import Limits
from service.inference.package import ModelPackage
from service.jobs.tables.listing import ShardSize, survey, write_listing
from service.jobs.tables.storage import Storage

PLAN = "_archive.json"
FORMAT = 1


class PlanError(Exception):
    """The folder of results belongs to another run; the message says what differs."""


class Plan(BaseModel):
    """The contents of `_archive.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = FORMAT
    code_version: str = Field(default=__version__, description="Of the code that reads the frames.")
    model_sha256: str
    planes: tuple[str, ...]
    max_upload_bytes: int
    max_frame_pixels: int
    shard_files: int
    shard_bytes: int
    listing_sha256: str = Field(description="Of every file's path, length and time of change.")
    shards: int
    files: int
    bytes: int

    @property
    def limits(self) -> Limits:
        """The limits on one file."""
        return Limits(self.max_upload_bytes, self.max_frame_pixels)

    def part(self, number: int) -> str:
        """The file that a shard's rows go into: the same name for the same frames, model and settings, and no other."""
        name = hashlib.sha256(f"{self.model_dump_json()}\n{number}".encode()).hexdigest()[:16]
        return f"batch={number // 1000:04d}/part-{number:06d}-{name}.parquet"


_DIFFERENCES = {
    "format": "it was begun by another version of this program",
    "code_version": "it was begun by another version of this program",
    "model_sha256": "it holds answers of another model",
    "planes": "it holds answers of another model",
    "max_upload_bytes": "FETAL_PLANES_MAX_UPLOAD_BYTES was another",
    "max_frame_pixels": "FETAL_PLANES_MAX_FRAME_PIXELS was another",
    "shard_files": "--shard-files was another",
    "shard_bytes": "--shard-bytes was another",
    "listing_sha256": "the source has changed since: files were added, removed or written to",
}


def make_plan(source: Storage, out: Storage, package: ModelPackage, limits: Limits, size: ShardSize) -> Plan:
    """Pin what there is to do, or find that it is what was pinned.

    Raises
    ------
    PlanError
        `out` holds another run's results, or files that are none.
    PlaceError
        A place cannot be read or written.
    """
    begun = out.has(PLAN)
    if not begun and out.taken():
        raise PlanError(f"{out.root} holds files that are no archive; choose another folder")
    listed = survey(source, size) if begun else write_listing(source, out, size)
    plan = Plan(
        model_sha256=package.sha256,
        planes=tuple(plane.id for plane in package.manifest.planes),
        max_upload_bytes=limits.max_bytes,
        max_frame_pixels=limits.max_pixels,
        shard_files=size.files,
        shard_bytes=size.bytes,
        listing_sha256=listed.sha256,
        shards=listed.shards,
        files=listed.files,
        bytes=listed.bytes,
    )
    if begun:
        _check_same(out, plan)
    else:
        out.write(PLAN, lambda stream: stream.write(plan.model_dump_json(indent=2).encode()))
    return plan


def read_plan(out: Storage) -> Plan:
    """The plan of a run.

    Raises
    ------
    PlanError
        It is none.
    """
    try:
        return Plan.model_validate_json(out.read(PLAN))
    except ValueError as error:
        raise PlanError(f"{out.at(PLAN)} is not a plan of this program") from error


def _check_same(out: Storage, plan: Plan) -> None:
    begun = read_plan(out)
    for name, why in _DIFFERENCES.items():
        if getattr(begun, name) != getattr(plan, name):
            raise PlanError(f"{out.root} cannot be gone on with: {why}; choose another folder")
