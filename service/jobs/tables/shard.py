"""One shard: its files become rows, and its rows a file. What a single machine does and what Ray's machines do."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Lock
from time import perf_counter

from service import __version__
from service.analysis.pipeline import Pipeline
from service.execution.work import Work, stage
from service.imaging.dicom.scan import Data
from service.inference.engine import Engine
from service.inference.package import load_package
from service.jobs.files import Upload
from service.jobs.runner import run_job
from service.jobs.summary import Counts
from service.jobs.tables.listing import Listing
from service.jobs.tables.parquet import TableRow, counts_from, values_of, write_part
from service.jobs.tables.plan import Plan, PlanError, read_plan
from service.jobs.tables.storage import Entry, open_storage
from service.jobs.worker import attempt
from service.observability.request_id import new_request_id
from service.reports.answers import classification


@dataclass(frozen=True, slots=True)
class TableJob:
    """What a machine must know to work on a shard: two places, the model's folder there, and how many threads."""

    source: str
    out: str
    model: Path
    threads: int


@dataclass(frozen=True, slots=True)
class FinishedShard:
    """A shard that is written.

    Attributes
    ----------
    number
        The shard's.
    counts
        Its frames.
    seconds
        Of reading, decoding, inference (with what prepares it) and writing, summed over threads; `wall` is its time.
    """

    number: int
    counts: Counts
    seconds: dict[str, float]

    def written(self) -> str:
        """As JSON, to be sent between machines."""
        return json.dumps({"number": self.number, "counts": values_of(self.counts), "seconds": self.seconds})

    @classmethod
    def read(cls, text: str) -> "FinishedShard":
        """From what `written` gives."""
        told = json.loads(text)
        return cls(told["number"], counts_from(told["counts"]), told["seconds"])


class StageSeconds:
    """Seconds by what they were spent on, summed over threads."""

    def __init__(self) -> None:
        self.seconds = {"read": 0.0, "decode": 0.0, "infer": 0.0}
        self._lock = Lock()

    def add(self, name: str, seconds: float) -> None:
        """Count some more."""
        with self._lock:
            self.seconds[name] += seconds


class ShardWorker:
    """Works on shards, one after the other; opened once in a process.

    Raises
    ------
    PlanError
        The plan was made with another model, or by another version of the code, than this machine has.
    """

    def __init__(self, job: TableJob) -> None:
        self._source, self._out, self._threads = open_storage(job.source), open_storage(job.out), job.threads
        self._plan = read_plan(self._out)
        package = load_package(job.model)
        if (package.sha256, __version__) != (self._plan.model_sha256, self._plan.code_version):
            raise PlanError("this machine has another model, or another version of the code, than the run began with")
        self._pipeline = Pipeline(Engine(package), self._plan.limits)
        self._listing = Listing(self._out)

    def work(self, number: int) -> FinishedShard:
        """Classify a shard and write its rows; raises `PlaceError`."""
        begun = perf_counter()
        entries = self._listing.shard(number)
        frames = _FrameWorker(self._pipeline, self._plan)
        uploads = [Upload(entry.source, self._reader(entry, frames.spent)) for entry in entries]
        place = {entry.source: index for index, entry in enumerate(entries)}
        rows = sorted(run_job(uploads, frames, Nothing(), self._threads), key=lambda row: (place[row.file], row.frame))
        writing = perf_counter()
        counts = write_part(self._out, self._plan.part(number), rows, self._plan.planes, self._plan.model_sha256)
        ended = perf_counter()
        spent = frames.spent.seconds | {"write": ended - writing, "wall": ended - begun}
        spent["decode"] -= spent["read"]  # which is the beginning of it
        return FinishedShard(number, counts, spent)

    def _reader(self, entry: Entry, spent: StageSeconds) -> Callable[[], Data]:
        load = self._source.reader(entry, self._plan.max_upload_bytes)

        def read() -> Data:
            begun = perf_counter()
            try:
                return load()
            finally:
                spent.add("read", perf_counter() - begun)

        return read


class Nothing:
    """A log of a shard's beginning: nothing is done yet, and what will be is not noted a second time."""

    def frames_of(self, file: str) -> int | None:
        """Not known."""
        return None

    def has(self, file: str, frame: int) -> bool:
        """No."""
        return False

    def write(self, row: TableRow) -> None:
        """It is noted with the others of its shard."""


@dataclass(frozen=True, slots=True)
class _FrameWorker:
    pipeline: Pipeline
    plan: Plan
    spent: StageSeconds = field(default_factory=StageSeconds)

    def work(self, upload: Upload, index: int, frames: int | None) -> TableRow:
        """The row of frame `index`; never an exception, since a bad file must not end a run."""
        work = Work(new_request_id())
        row = attempt(partial(self._answer, upload, index), work)
        for name, taken in work.stages:
            self.spent.add("decode" if name == "decode" else "infer", taken)
        if isinstance(row, TableRow):
            return row
        return TableRow(
            file=upload.name, frame=index, frames=frames, answer=None, problem=row, dicom=[], ood_score=None
        )

    def _answer(self, upload: Upload, index: int) -> TableRow:
        with stage("decode"):
            _, frame = upload.read(index, self.pipeline.limits)
        seen = self.pipeline.classify_frame(frame)
        answer = classification(seen, len(self.plan.planes))
        return TableRow(
            file=upload.name, frame=index, frames=frame.count, answer=answer, problem=None, dicom=[],
            ood_score=seen.scores.ood_score,
        )  # fmt: skip
