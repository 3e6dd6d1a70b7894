"""Results of single frames: the job runner makes structured reports and overlays of what arrived."""

import logging
import secrets
from collections import defaultdict
from collections.abc import Collection, Sequence
from http import HTTPStatus

from service.analysis.pipeline import Pipeline
from service.imaging.files.local_file import LocalFile
from service.jobs import JobError
from service.jobs.files import SourceFile
from service.jobs.listener.ledger import ObjectState, SpooledObject
from service.jobs.listener.options import ResultOptions
from service.jobs.listener.spool import Result, Spool
from service.jobs.rows import ResultRow, SkippedFile
from service.jobs.runner import FrameChoice, run_job
from service.jobs.worker import DicomOutput, FrameWorker
from service.observability.listener_metrics import ListenerMetrics
from service.reports.dicom import DicomObject

_LOG = logging.getLogger("fetal_planes.listener")
_IDLE_S = 5.0  # `wake` comes earlier
_RETRY_S = 5.0
_OBJECTS_PER_THREAD = 8
_MAX_ATTEMPTS = 3


class ResultStore:
    """Writes DICOM results into the outbox of a spool; several threads may use it at once."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._written: list[str] = []

    def store(self, result: DicomObject) -> str:
        """Write a result and return its name; raises `JobError`, because a full disk concerns all results."""
        # Two objects may claim one UID: the file of one result must not be that of another, which is being delivered.
        name = f"{self._spool.hash(result.uid)}-{secrets.token_hex(4)}.dcm"
        try:
            self._spool.store_result(name, result.contents)
        except OSError as error:
            raise JobError(f"the spool cannot be written: {error.strerror}") from error
        self._written.append(name)
        return name

    def store_of(self, result: DicomObject, _: SourceFile) -> str:
        """Write the result of a file, as `store` does."""
        return self.store(result)

    def keep(self, names: Collection[str]) -> None:
        """Delete what was written since the last call, except the results with these names."""
        for name in set(self._written) - set(names):
            self._spool.discard_result(name)
        self._written.clear()


def classify_objects(
    spool: Spool, objects: Sequence[SpooledObject], worker: FrameWorker, threads: int, choice: FrameChoice
) -> dict[str, list[ResultRow]]:
    """Classify the chosen frames of objects; return the rows of each by its key, none for one that is skipped."""
    files = [SourceFile(each.key, LocalFile(spool.object_path(each.key))) for each in objects]
    rows: defaultdict[str, list[ResultRow]] = defaultdict(list)
    for finished in run_job(files, worker, threads, choice=choice):
        if not isinstance(finished, SkippedFile):
            for row in finished:
                rows[row.file].append(row)
    return dict(rows)


class FrameResults:
    """Makes the results of each object as it comes.

    An object that fails for a reason outside of it is tried again; then it is given up, which the log and a metric say.
    """

    def __init__(
        self, spool: Spool, pipeline: Pipeline, options: ResultOptions, threads: int, metrics: ListenerMetrics
    ) -> None:
        self._spool, self._options, self._threads, self._metrics = spool, options, threads, metrics
        self._store = ResultStore(spool)
        output = DicomOutput(reports=True, overlays=options.overlays, store=self._store.store_of)
        self._worker = FrameWorker(pipeline, dicom=output)

    def step(self, state: ObjectState) -> float:
        """Work on the oldest objects, and put them into a state; return the seconds to wait for others."""
        objects = self._spool.ledger.received(_OBJECTS_PER_THREAD * self._threads)
        if not objects:
            return _IDLE_S
        try:
            rows = classify_objects(self._spool, objects, self._worker, self._threads, self._options.choice)
        except JobError as error:  # a full disk: nothing is lost, as nothing was recorded
            self._store.keep(())
            _LOG.error("results cannot be written; they are tried again", extra={"reason": str(error)})
            return _RETRY_S
        again = [each for each in objects if each.attempts < _MAX_ATTEMPTS and _failed(rows.get(each.key, []))]
        complete = [each for each in objects if each not in again]
        names = [Result(name, "dicom") for each in complete for row in rows.get(each.key, []) for name in row.dicom]
        self._spool.complete([each.key for each in complete], names, state)
        self._store.keep([result.name for result in names])
        self._spool.ledger.count_attempt(each.key for each in again)
        for each in complete:
            self._record(each, rows.get(each.key))
        return _RETRY_S if len(again) == len(objects) else 0.0

    def _record(self, each: SpooledObject, rows: list[ResultRow] | None) -> None:
        if rows is None:
            self._metrics.count_frame("skipped")
            return
        for row in rows:
            problem = row.problem.code if row.problem else "no-dicom-result" if row.dicom_problem else None
            self._metrics.count_frame("refused" if problem else "classified")
            if problem:
                _LOG.warning(
                    "a frame has no result", extra={"object": each.key, "frame": row.frame, "problem": problem}
                )


def _failed(rows: Sequence[ResultRow]) -> bool:
    """Return whether a frame failed for a reason outside of its file."""
    return any(row.problem and row.problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR for row in rows)
