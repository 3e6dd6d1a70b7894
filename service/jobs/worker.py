"""The worker of every job: it turns one frame into one row, whatever is wrong with the frame."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from threading import Lock

from service.analysis.pipeline import Pipeline
from service.analysis.results import ExplainedFrame, FrameResult
from service.errors import InternalError, Problem
from service.execution.work import Stage, Work, stage, work_context
from service.jobs.files import SourceFile
from service.jobs.rows import ResultRow
from service.observability.trace import new_request_id
from service.reports.answers import classification
from service.reports.dicom import DicomObject
from service.schemas.answers import DEFAULT_TOP_K
from service.schemas.problems import ProblemDetails

_LOG = logging.getLogger("fetal_planes.jobs")


@dataclass(frozen=True, slots=True)
class DicomOutput:
    """DICOM objects to write for each frame of a DICOM file."""

    reports: bool  # a structured report
    overlays: bool  # a Secondary Capture with the evidence
    store: Callable[[DicomObject], str]  # returns the object's name in the row: a file name or a SOP Instance UID


class StageSeconds:
    """Seconds of the stage `decode` and, as `infer`, of all others, summed over threads."""

    def __init__(self) -> None:
        self.decode = self.infer = 0.0
        self._lock = Lock()

    def add(self, stages: list[tuple[Stage, float]]) -> None:
        """Add the stages of one frame."""
        decode = sum(seconds for name, seconds in stages if name == "decode")
        with self._lock:
            self.decode += decode
            self.infer += sum(seconds for _, seconds in stages) - decode


@dataclass(frozen=True, slots=True, eq=False)
class FrameWorker:
    """Reads, classifies and stores; several threads may use it at once. `top` predictions are in each answer."""

    pipeline: Pipeline
    top: int = DEFAULT_TOP_K
    dicom: DicomOutput | None = None
    seconds: StageSeconds = field(default_factory=StageSeconds)

    def work(self, file: SourceFile, index: int, frames: int | None) -> ResultRow:
        """Return the row of frame `index`; never raise, since one bad file must not end a job."""
        with work_context(Work(new_request_id())) as work:
            try:
                return self._answer(file, index)
            except Problem as error:
                problem = error
            except Exception as error:  # a defect or a full disk
                # Only the type is logged: the text may quote the file.
                details = {"request_id": work.request_id, "exception": type(error).__qualname__}
                _LOG.error("a frame failed", extra=details)
                problem = InternalError("The frame could not be processed.")
            finally:
                self.seconds.add(work.stages)
        refusal = ProblemDetails.of(problem, work.request_id)
        return ResultRow(file=file.name, frame=index, frames=frames, answer=None, problem=refusal, dicom=[])

    def _answer(self, file: SourceFile, index: int) -> ResultRow:
        with stage("decode"):
            frame = file.read(index, self.pipeline.decoder)
        output = self.dicom if frame.format == "dicom" else None
        explain = output is not None and output.overlays
        result: FrameResult = self.pipeline.explain_frame(frame) if explain else self.pipeline.classify_frame(frame)
        answer, score = classification(result, self.top), result.scores.ood_score
        dicom = [output.store(each) for each in self._objects(output, result)] if output else []
        return ResultRow(
            file=file.name, frame=index, frames=frame.count, answer=answer, problem=None, dicom=dicom, ood_score=score
        )

    def _objects(self, output: DicomOutput, result: FrameResult) -> Iterator[DicomObject]:
        from service.reports.dicom.secondary_capture import write_overlay  # takes half a second to import
        from service.reports.dicom.structured_report import write_report

        if output.reports:
            yield write_report(self.pipeline, result)
        if output.overlays and isinstance(result, ExplainedFrame):
            yield write_overlay(self.pipeline, result)
