"""One shard of a table: its files become the rows of one part. One machine and a Ray cluster run the same code."""

import json
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from service.analysis.pipeline import Pipeline
from service.inference.engine import Engine
from service.inference.package import load_package
from service.jobs.files import SourceFile
from service.jobs.rows import Counts
from service.jobs.runner import run_job
from service.jobs.tables.listing import Listing
from service.jobs.tables.parquet import PartSink
from service.jobs.tables.plan import PlanError, current_key, read_plan
from service.jobs.tables.storage import open_storage
from service.jobs.worker import FrameWorker


@dataclass(frozen=True, slots=True)
class TableJob:
    """What a machine needs to work on shards: source and table by path or URL, the model's folder, and threads."""

    source: str
    out: str
    model: Path
    threads: int


@dataclass(frozen=True, slots=True)
class FinishedShard:
    """A shard whose part is written.

    Attributes
    ----------
    number
        Number of the shard.
    counts
        Counts of its frames.
    seconds
        Seconds of `read`, `decode`, `infer` (with preprocessing) and `write`, summed over threads, and of `wall`.
    """

    number: int
    counts: Counts
    seconds: dict[str, float]

    def to_json(self) -> str:
        """Return the shard as JSON, which machines send to each other."""
        return json.dumps({"number": self.number, "counts": self.counts.to_dict(), "seconds": self.seconds})

    @classmethod
    def from_json(cls, text: str) -> "FinishedShard":
        """Return the shard that `to_json` wrote."""
        values = json.loads(text)
        return cls(values["number"], Counts.from_dict(values["counts"]), values["seconds"])


class ShardWorker:
    """Works on shards, one after the other; a process opens it once.

    Raises
    ------
    PlanError
        This machine has another model, or other code, than the job began with.
    """

    def __init__(self, job: TableJob) -> None:
        self._source, self._out, self._threads = open_storage(job.source), open_storage(job.out), job.threads
        self._plan = read_plan(self._out)
        package = load_package(job.model)
        if (difference := current_key(package).difference(self._plan.key)) is not None:
            raise PlanError(f"this machine cannot continue {job.out}: {difference}")
        self._pipeline = Pipeline(Engine(package), self._plan.limits)
        self._listing = Listing(self._out)

    def work(self, number: int) -> FinishedShard:
        """Classify the frames of a shard and write its part; raises `StorageError`."""
        started = perf_counter()
        files = [
            SourceFile(entry.file, self._source.reader(entry, self._plan.max_upload_bytes))
            for entry in self._listing.shard(number)
        ]
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
        return FinishedShard(number, sink.counts, seconds)
