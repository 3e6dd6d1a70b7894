"""Complete studies: the exam as JSON and HTML, one structured report if asked for, and the webhook's message."""

import asyncio
import json
import logging
from collections.abc import Sequence
from functools import partial
from time import time

from service.analysis.batch import File, Selection
from service.analysis.batch_session import local_session
from service.analysis.exam.evidence import draw_evidence
from service.analysis.exam.reader import ExamOptions, ExamReader
from service.analysis.pipeline import Pipeline
from service.analysis.protocols.load import choose_protocol, load_protocols
from service.analysis.results import FrameResult
from service.disk import write_flushed
from service.execution.work import Work, work_context
from service.imaging.files.local_file import LocalFile
from service.jobs.listener.frames import ResultStore, classify_objects
from service.jobs.listener.ledger import ObjectState, SpooledObject
from service.jobs.listener.options import ListenerOptions
from service.jobs.listener.spool import Result, Spool
from service.jobs.rows import DISCLAIMER
from service.jobs.runner import FrameChoice
from service.jobs.worker import DicomOutput, FrameWorker
from service.observability.listener_metrics import ListenerMetrics
from service.observability.trace import new_request_id
from service.reports.answers import exam_report
from service.reports.exam_html import render
from service.schemas.exam import ExamReport

_LOG = logging.getLogger("fetal_planes.listener")
_STEP_S = 1.0
_MAX_ATTEMPTS = 3


class Studies:
    """Closes each study to which nothing came for some time; objects that come later are a further exam.

    `state` is the state of objects that are ready for it.
    """

    def __init__(
        self,
        spool: Spool,
        pipeline: Pipeline,
        options: ListenerOptions,
        metrics: ListenerMetrics,
        state: ObjectState,
    ) -> None:
        self._spool, self._pipeline, self._options, self._metrics = spool, pipeline, options, metrics
        self._state: ObjectState = state

    def step(self) -> float:
        """Close the studies that are complete; return the seconds to wait."""
        ledger = self._spool.ledger
        for study in ledger.quiet_studies(time() - self._options.studies.idle_s, self._state):
            objects = ledger.of_study(study)
            try:
                results = self._close(study, objects)
            except Exception as error:
                self._fail(study, objects, error)
                continue
            self._spool.complete([each.key for each in objects], results, "done")
            self._metrics.count_study("complete")
            _LOG.info("a study is complete", extra={"study": self._spool.hash(study), "objects": len(objects)})
        return _STEP_S

    def _fail(self, study: str, objects: Sequence[SpooledObject], error: Exception) -> None:
        keys = [each.key for each in objects]
        given_up = not isinstance(error, OSError) and max(each.attempts for each in objects) >= _MAX_ATTEMPTS
        reason = (error.strerror if isinstance(error, OSError) else None) or type(error).__qualname__
        words = "a study is given up" if given_up else "a study failed; it is tried again"
        _LOG.error(words, extra={"study": self._spool.hash(study), "reason": reason})
        if given_up:
            self._spool.complete(keys, [], "done")
            self._metrics.count_study("failed")
        else:
            self._spool.ledger.count_attempt(keys)

    def _close(self, study: str, objects: Sequence[SpooledObject]) -> list[Result]:
        """Make the results of a study; the same objects give results of the same names."""
        options, results = self._options, list[Result]()
        name = self._spool.hash("\0".join([study, *sorted(each.key for each in objects)]))
        if options.results.per == "study" and options.results.destination is not None:
            results += [Result(each, "dicom") for each in self._report(objects)]
        if options.studies.wants_exam:
            exam, page = self._exam(objects)
            message = _message(study, name, exam)
            if options.studies.folder is not None:
                options.studies.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                write_flushed(options.studies.folder / f"{name}.html", page.encode(), options.studies.folder)
                write_flushed(options.studies.folder / f"{name}.json", message, options.studies.folder)
            if options.studies.webhook is not None:
                self._spool.store_result(f"{name}.json", message)
                results.append(Result(f"{name}.json", "webhook"))
        return results

    def _report(self, objects: Sequence[SpooledObject]) -> list[str]:
        """Write one structured report of stills and of the best frames of loops, and overlays if they are wanted."""
        from service.reports.dicom.structured_report import write_study_report  # takes half a second to import

        options, store, found = self._options.results, ResultStore(self._spool), list[FrameResult]()
        output = DicomOutput(reports=False, overlays=options.overlays, store=store.store_of, collect=found.append)
        choice = FrameChoice(options.choice.selection, best=True)
        worker = FrameWorker(self._pipeline, dicom=output)
        try:
            rows = classify_objects(self._spool, objects, worker, self._options.threads, choice)
            names = [name for each in rows.values() for row in each for name in row.dicom]
            if found:
                names.append(store.store(write_study_report(self._pipeline, found, self._options.studies.protocol)))
        except BaseException:
            store.keep(())
            raise
        for each in rows.values():
            for row in each:
                self._metrics.count_frame("refused" if row.problem else "classified")
        return names

    def _exam(self, objects: Sequence[SpooledObject]) -> tuple[ExamReport, str]:
        files = [
            File(number, each.instance, partial(LocalFile, self._spool.object_path(each.key)))
            for number, each in enumerate(objects)
        ]
        return asyncio.run(sort_exam(self._pipeline, files, self._options))


async def sort_exam(pipeline: Pipeline, files: Sequence[File], options: ListenerOptions) -> tuple[ExamReport, str]:
    """Return the exam of a study and its page. What an exam should hold is decided here and nowhere else."""
    manifest = pipeline.engine.manifest
    protocol = options.studies.protocol or choose_protocol(load_protocols(None, None, manifest), None)
    reader = ExamReader(manifest.planes, ExamOptions(protocol))
    with (
        work_context(Work(new_request_id())),
        local_session(pipeline, options.threads, Selection(), options.studies.max_frames, thumbnails=True) as session,
    ):
        exam = await exam_report(session, files, reader)
        evidence = await draw_evidence(exam, reader, files, pipeline, session.run)
        return exam, render(exam, reader.thumbnails, evidence)


def _message(study: str, name: str, exam: ExamReport) -> bytes:
    """Return what the webhook gets, and the folder: the study's UID, with which an archive finds it, and the exam."""
    message = {"study": study, "name": name, "exam": exam.model_dump(mode="json"), "disclaimer": DISCLAIMER}
    return json.dumps(message).encode() + b"\n"
