"""One shard of a table: its files become the rows of one part. One machine and a Ray cluster run the same code."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

import pyarrow as pa
from pyarrow import parquet
from pydantic import BaseModel, Field

from service.analysis.pipeline import Pipeline
from service.execution.decoders.limits import DecoderLimits
from service.execution.decoders.pool import open_decoder
from service.imaging.frame import Limits
from service.inference.package import Providers, load_package
from service.inference.precision import choose_precision
from service.inference.providers import open_engine
from service.jobs import JobError
from service.jobs.journal import JobKey
from service.jobs.listing import FileEntry
from service.jobs.rows import Counts, ResultRow, SkippedFile
from service.jobs.runner import Finished, run_job
from service.jobs.tables.plan import LISTING, Plan, read_plan
from service.jobs.tables.storage import Storage, open_storage
from service.jobs.worker import FrameWorker
from service.reports.audit_columns import AuditColumns, AuditKey
from service.schemas.manifest import PrecisionChoice

_CONTENTS = b"fetal_planes.contents"
_AUDIT = ("sha256", *(name for name in AuditColumns.model_fields if name != "ood_score"))


@dataclass(frozen=True, slots=True)
class TableJob:
    """What a machine needs to work on shards: source and table by path or URL, the model's folder, and threads."""

    source: str
    out: str
    model: Path
    threads: int
    audit: AuditKey | None = None  # for the columns of an audit
    precision: PrecisionChoice = "auto"  # the first run chooses for all machines
    providers: Providers = field(default_factory=dict, hash=False)  # a dict has no hash, and jobs are keys


class PartContents(BaseModel):
    """What a part says about itself: the counts of its frames, and the files that were skipped."""

    counts: Counts = Field(default_factory=Counts)
    skipped: list[SkippedFile] = Field(default_factory=list)


class FinishedShard(PartContents):
    """A shard whose part is written."""

    number: int
    seconds: dict[str, float]  # of `read`, `decode`, `infer` (with preprocessing), `write` over all threads; of `wall`


class ShardWorker:
    """Works on shards, one after the other; a process opens it once.

    Raises `JobError` if this machine has another model, or other code, than the job began with.
    """

    def __init__(self, job: TableJob) -> None:
        self._source, self._out, self._threads = open_storage(job.source), open_storage(job.out), job.threads
        self._plan = read_plan(self._out)
        package = choose_precision(load_package(job.model).on(job.providers), self._plan.key.precision)
        if difference := JobKey.of(package).difference(self._plan.key):
            raise JobError(f"this machine cannot continue {job.out}: {difference}")
        self._audit = job.audit
        limits = Limits(self._plan.max_upload_bytes, self._plan.max_frame_pixels)
        decoder = open_decoder(DecoderLimits(limits.max_bytes, limits.max_pixels), job.threads)
        self._pipeline = Pipeline(open_engine(package), limits, decoder)
        with self._out.open(LISTING) as file:
            self._listing = parquet.read_metadata(file)

    def close(self) -> None:
        """End the decoders."""
        self._pipeline.decoder.close()

    def work(self, number: int) -> FinishedShard:
        """Classify the frames of a shard and write its part; raises `JobError`."""
        started = perf_counter()
        with self._out.open(LISTING) as file:
            listed = parquet.ParquetFile(file, metadata=self._listing).read_row_group(number)
        entries = [FileEntry(**row) for row in listed.to_pylist()]
        max_bytes = self._plan.max_upload_bytes
        files = [self._source.source_file(entry, max_bytes) for entry in entries]
        worker = FrameWorker(
            self._pipeline, top=len(self._plan.planes), hash_files=self._audit is not None, audit=self._audit
        )
        rows, contents = _collect(run_job(files, worker, self._threads))
        classified = perf_counter()
        order = {entry.file: index for index, entry in enumerate(entries)}
        self._write(number, sorted(rows, key=lambda row: (order[row.file], row.frame)), contents)
        ended = perf_counter()
        read = sum(file.load_s for file in files)
        seconds = {
            "read": read,
            "decode": worker.seconds.decode - read,  # the first decode of a file includes its reading
            "infer": worker.seconds.infer,
            "write": ended - classified,
            "wall": ended - started,
        }
        return FinishedShard(**dict(contents), number=number, seconds=seconds)

    def _write(self, number: int, rows: list[ResultRow], contents: PartContents) -> None:
        # The contents travel in the part, so that a later run counts the table without reading its rows.
        schema = _schema(self._plan).with_metadata({_CONTENTS: contents.model_dump_json().encode()})
        table = pa.Table.from_pylist([self._cells(row) for row in rows], schema)
        self._out.write(self._plan.part(number), lambda stream: parquet.write_table(table, stream))

    def _cells(self, row: ResultRow) -> dict[str, str | int | float | None]:
        predictions = row.answer.predictions if row.answer is not None else ()
        probabilities = {f"probability_{each.plane}": each.probability for each in predictions}
        key = self._plan.key
        return row.cells() | probabilities | {"model_sha256": key.model_sha256, "model_precision": key.precision}


def _collect(results: Iterable[Finished]) -> tuple[list[ResultRow], PartContents]:
    rows: list[ResultRow] = []
    contents = PartContents()
    for finished in results:
        if isinstance(finished, SkippedFile):
            contents.skipped.append(finished)
        else:
            rows.extend(finished)
    for row in rows:
        contents.counts.add(row)
    contents.counts.skipped = len(contents.skipped)
    return rows, contents


def read_contents(out: Storage, name: str) -> PartContents | None:
    """Return what a part says about itself; None if the part is missing or damaged."""
    try:
        with out.open(name) as file:
            return PartContents.model_validate_json(parquet.read_schema(file).metadata[_CONTENTS])
    except (OSError, pa.ArrowInvalid, LookupError, TypeError, ValueError):
        return None


def _schema(plan: Plan) -> pa.Schema:
    return pa.schema(
        [
            pa.field("file", pa.string(), nullable=False),
            pa.field("frame", pa.int32(), nullable=False),
            ("frames", pa.int32()),
            ("seconds", pa.float64()),
            *((f"probability_{plane}", pa.float32()) for plane in plan.planes),
            ("plane", pa.string()),
            ("abstain", pa.bool_()),
            ("abstain_reason", pa.string()),
            ("ood_score", pa.float32()),
            ("sub_plane", pa.string()),
            ("sub_plane_probability", pa.float32()),
            pa.field("model_sha256", pa.string(), nullable=False),
            pa.field("model_precision", pa.string(), nullable=False),
            ("problem", pa.string()),
            ("detail", pa.string()),
            *((name, pa.string()) for name in _AUDIT if plan.audit_columns is not None),
        ]
    )
