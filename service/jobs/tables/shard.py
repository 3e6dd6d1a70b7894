"""One shard of a table: its files become the rows of one part. One machine and a Ray cluster run the same code."""

import json
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import pyarrow as pa
from pyarrow import parquet
from pydantic import BaseModel

from service.analysis.pipeline import Pipeline
from service.execution.decoders.limits import DecoderLimits
from service.execution.decoders.pool import open_decoder
from service.imaging.frame import Limits
from service.inference.engine import Engine
from service.inference.package import load_package
from service.jobs import JobError
from service.jobs.files import FileEntry, SourceFile
from service.jobs.journal import JobKey
from service.jobs.rows import Counts, ResultRow
from service.jobs.runner import run_job
from service.jobs.tables.plan import LISTING, Plan, read_plan
from service.jobs.tables.storage import Storage, open_storage
from service.jobs.worker import FrameWorker

_COUNTS = b"fetal_planes.counts"


@dataclass(frozen=True, slots=True)
class TableJob:
    """What a machine needs to work on shards: source and table by path or URL, the model's folder, and threads."""

    source: str
    out: str
    model: Path
    threads: int


class FinishedShard(BaseModel):
    """A shard whose part is written, with the counts of its frames."""

    number: int
    counts: Counts
    seconds: dict[str, float]  # of `read`, `decode`, `infer` (with preprocessing), `write` over all threads; of `wall`


class ShardWorker:
    """Works on shards, one after the other; a process opens it once.

    Raises `JobError` if this machine has another model, or other code, than the job began with.
    """

    def __init__(self, job: TableJob) -> None:
        self._source, self._out, self._threads = open_storage(job.source), open_storage(job.out), job.threads
        self._plan = read_plan(self._out)
        package = load_package(job.model)
        if difference := JobKey.of(package).difference(self._plan.key):
            raise JobError(f"this machine cannot continue {job.out}: {difference}")
        limits = Limits(self._plan.max_upload_bytes, self._plan.max_frame_pixels)
        decoder = open_decoder(DecoderLimits(limits.max_bytes, limits.max_pixels), job.threads)
        self._pipeline = Pipeline(Engine(package), limits, decoder)
        self._listing = parquet.ParquetFile(self._out.open(LISTING))

    def close(self) -> None:
        """End the decoders."""
        self._pipeline.decoder.close()

    def work(self, number: int) -> FinishedShard:
        """Classify the frames of a shard and write its part; raises `JobError`."""
        started = perf_counter()
        entries = [FileEntry(**row) for row in self._listing.read_row_group(number).to_pylist()]
        max_bytes = self._plan.max_upload_bytes
        files = [SourceFile(entry.file, self._source.reader(entry, max_bytes)) for entry in entries]
        worker = FrameWorker(self._pipeline, top=len(self._plan.planes))
        rows = list(run_job(files, worker, self._threads))
        classified = perf_counter()
        counts = Counts()
        for row in rows:
            counts.add(row)
        order = {entry.file: index for index, entry in enumerate(entries)}
        self._write(number, sorted(rows, key=lambda row: (order[row.file], row.frame)), counts)
        ended = perf_counter()
        read = sum(file.load_s for file in files)
        seconds = {
            "read": read,
            "decode": worker.seconds.decode - read,  # the first decode of a file includes its reading
            "infer": worker.seconds.infer,
            "write": ended - classified,
            "wall": ended - started,
        }
        return FinishedShard(number=number, counts=counts, seconds=seconds)

    def _write(self, number: int, rows: list[ResultRow], counts: Counts) -> None:
        # The counts travel in the part, so that a later run counts the table without reading its rows.
        schema = _schema(self._plan).with_metadata({_COUNTS: json.dumps(counts.model_dump()).encode()})
        table = pa.Table.from_pylist([self._cells(row) for row in rows], schema)
        self._out.write(self._plan.part(number), lambda stream: parquet.write_table(table, stream))

    def _cells(self, row: ResultRow) -> dict[str, str | int | float | None]:
        predictions = row.answer.predictions if row.answer is not None else ()
        probabilities = {f"probability_{each.plane}": each.probability for each in predictions}
        return row.cells() | probabilities | {"model_sha256": self._plan.key.model_sha256}


def read_counts(out: Storage, name: str) -> Counts | None:
    """Return the counts of a part; None if the part is missing or damaged."""
    try:
        with out.open(name) as file:
            return Counts.model_validate_json(parquet.read_schema(file).metadata[_COUNTS])
    except (OSError, pa.ArrowInvalid, LookupError, TypeError, ValueError):
        return None


def _schema(plan: Plan) -> pa.Schema:
    return pa.schema(
        [
            pa.field("file", pa.string(), nullable=False),
            pa.field("frame", pa.int32(), nullable=False),
            ("frames", pa.int32()),
            *((f"probability_{plane}", pa.float32()) for plane in plan.planes),
            ("plane", pa.string()),
            ("abstain", pa.bool_()),
            ("abstain_reason", pa.string()),
            ("ood_score", pa.float32()),
            ("sub_plane", pa.string()),
            ("sub_plane_probability", pa.float32()),
            pa.field("model_sha256", pa.string(), nullable=False),
            ("problem", pa.string()),
            ("detail", pa.string()),
        ]
    )
