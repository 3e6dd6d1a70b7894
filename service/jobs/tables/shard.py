"""One shard of a table: its files become the rows of one part. One machine and a Ray cluster run the same code."""

from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from pyarrow import parquet
from pydantic import BaseModel

from service.analysis.pipeline import Pipeline
from service.inference.engine import Engine
from service.inference.package import load_package
from service.jobs import JobError
from service.jobs.files import FileEntry, SourceFile
from service.jobs.journal import JobKey
from service.jobs.rows import Counts
from service.jobs.runner import run_job
from service.jobs.tables.parquet import PartSink
from service.jobs.tables.plan import LISTING, read_plan
from service.jobs.tables.storage import open_storage
from service.jobs.worker import FrameWorker


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
        if (difference := JobKey.of(package).difference(self._plan.key)) is not None:
            raise JobError(f"this machine cannot continue {job.out}: {difference}")
        self._pipeline = Pipeline(Engine(package), self._plan.limits)
        self._listing = parquet.ParquetFile(self._out.open(LISTING))

    def work(self, number: int) -> FinishedShard:
        """Classify the frames of a shard and write its part; raises `JobError`."""
        started = perf_counter()
        entries = [FileEntry(**row) for row in self._listing.read_row_group(number).to_pylist()]
        max_bytes = self._plan.max_upload_bytes
        files = [SourceFile(entry.file, self._source.reader(entry, max_bytes)) for entry in entries]
        worker, sink = FrameWorker(self._pipeline, top=len(self._plan.planes)), PartSink(self._plan)
        run_job(files, worker, sink, self._threads)
        classified = perf_counter()
        sink.save(self._out, number, [file.name for file in files])
        ended = perf_counter()
        read = sum(file.load_s for file in files)
        seconds = {
            "read": read,
            "decode": worker.seconds["decode"] - read,  # the first decode of a file includes its reading
            "infer": worker.seconds["infer"],
            "write": ended - classified,
            "wall": ended - started,
        }
        return FinishedShard(number=number, counts=sink.counts, seconds=seconds)
