"""The worker of every job: it turns one frame into one row, whatever is wrong with the frame."""

import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from threading import Lock
from typing import NamedTuple, TypeVar

from service.analysis.cine import shot_signature
from service.analysis.pipeline import Pipeline
from service.analysis.results import ExplainedFrame, FrameResult
from service.errors import InternalError, NotFound, Problem
from service.execution.work import Stage, Work, current_work, stage, work_context
from service.imaging.files.local_file import Upload
from service.imaging.frame import Frames
from service.imaging.letterbox import PreparedFrame
from service.inference.session import Floats
from service.jobs import JobError, StoreError
from service.jobs.companions import companion_kind
from service.jobs.files import SourceFile
from service.jobs.rows import ResultRow, SkippedFile
from service.observability.trace import new_request_id
from service.reports.answers import classification
from service.reports.audit_columns import AuditKey
from service.reports.dicom import DicomObject
from service.schemas.answers import DEFAULT_TOP_K
from service.schemas.problems import ProblemDetails
from service.schemas.protocols import ProtocolInfo

T = TypeVar("T")

_LOG = logging.getLogger("fetal_planes.jobs")


@dataclass(frozen=True, slots=True)
class DicomOutput:
    """DICOM objects to write for each frame of a DICOM file."""

    reports: bool  # a structured report
    overlays: bool  # a Secondary Capture with the evidence
    store: Callable[[DicomObject, SourceFile], str]  # returns the object's name in the row: a file or SOP Instance UID
    protocol: ProtocolInfo | None = None  # that the reports name
    collect: Callable[[FrameResult], None] = lambda _: None  # called with each result, before its objects are written


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


class LoopFrame(NamedTuple):
    """A classified frame of a loop, with what decides whether it is the best of its plane."""

    result: FrameResult
    signature: Floats


@dataclass(frozen=True, slots=True, eq=False)
class FrameWorker:
    """Reads, classifies and stores; several threads may use it at once.

    Attributes
    ----------
    top
        Number of predictions in each answer.
    hash_files
        Whether a row has the hash of its file.
    write_crop
        Called with each classified frame; may raise `JobError`.
    audit
        Makes the columns of an audit; rows have none without it.
    """

    pipeline: Pipeline
    top: int = DEFAULT_TOP_K
    dicom: DicomOutput | None = None
    hash_files: bool = False
    write_crop: Callable[[SourceFile, PreparedFrame, FrameResult], None] | None = None
    audit: AuditKey | None = None
    seconds: StageSeconds = field(default_factory=StageSeconds)

    def work(self, file: SourceFile, index: int, frames: int | None) -> ResultRow | SkippedFile:
        """Return the row of frame `index`, whatever is wrong with it: one bad file must not end a job.

        A file that holds no frame is skipped. Raises `JobError` if results cannot be written.
        """
        return self._attempt(file, index, frames, self._answer)

    def scan(self, file: SourceFile, index: int, frames: int | None) -> ResultRow | SkippedFile | LoopFrame:
        """Do the same for a still; classify a frame of a loop without a row."""
        return self._attempt(file, index, frames, self._scan)

    def _attempt(
        self, file: SourceFile, index: int, frames: int | None, answer: Callable[[SourceFile, PreparedFrame], T]
    ) -> T | ResultRow | SkippedFile:
        with work_context(Work(new_request_id())) as work:
            file_hash = None
            try:
                if index == 0 and self._is_long(file) and (reason := self._companion(file)) is not None:
                    return SkippedFile(file=file.name, reason=reason)  # an installer, which should not be in memory
                file_hash = file.sha256() if self.hash_files else None  # before reading: a later change is noticed
                with stage("decode"):
                    frame = file.read(index, self.open)
                return answer(file, frame)
            except JobError:
                raise
            except Problem as error:
                problem = error
                may_skip = index == 0 and not isinstance(error, NotFound)  # it may be a frame that cannot be read now
                if may_skip and (reason := self._companion(file)) is not None:
                    return SkippedFile(file=file.name, reason=reason)
            except Exception as error:
                _log_failure(error)
                problem = InternalError("The frame could not be processed.")
            finally:
                self.seconds.add(work.stages)
        refusal = ProblemDetails.of(problem, work.request_id)
        return ResultRow(
            file=file.name, frame=index, frames=frames or file.count, answer=None, problem=refusal, dicom=[],
            sha256=file_hash,
        )  # fmt: skip

    def open(self, upload: Upload, index: int) -> Frames[PreparedFrame]:
        """Open a file for this job: with the pictures that it writes."""
        drawn = self.write_crop is not None or (self.dicom is not None and self.dicom.overlays)
        return self.pipeline.open(upload, index, "whole" if drawn else "none")

    def _is_long(self, file: SourceFile) -> bool:
        with suppress(OSError):  # to read it says why
            return file.path is not None and file.path.stat().st_size > self.pipeline.limits.max_bytes
        return False

    def _companion(self, file: SourceFile) -> str | None:
        try:
            return companion_kind(file.name, file.start, self.pipeline.limits.max_bytes)
        except (Problem, OSError):
            return None

    def _scan(self, file: SourceFile, frame: PreparedFrame) -> ResultRow | LoopFrame:
        if frame.cells is None:
            return self._answer(file, frame)
        return LoopFrame(self.pipeline.classify_frame(frame), shot_signature(frame.cells))

    def _answer(self, file: SourceFile, frame: PreparedFrame) -> ResultRow:
        facts = frame.metadata
        output = self.dicom if facts.format == "dicom" else None
        explain = output is not None and output.overlays
        result: FrameResult = self.pipeline.explain_frame(frame) if explain else self.pipeline.classify_frame(frame)
        if self.write_crop is not None:
            self.write_crop(file, frame, result)
        names, missing = self._store(output, file, result) if output else ([], None)
        return ResultRow(
            file=file.name,
            frame=facts.index,
            frames=facts.count,
            answer=classification(result, self.top),
            problem=None,
            dicom=names,
            dicom_problem=missing,
            sha256=file.sha256() if self.hash_files else None,
            audit=self.audit.columns(result.frame, file.name, result.scores.ood_score) if self.audit else None,
            ood_score=result.scores.ood_score,
        )

    def _store(self, output: DicomOutput, file: SourceFile, result: FrameResult) -> tuple[list[str], str | None]:
        """Write the DICOM objects of a frame; return their names, and why one of them is missing."""
        names, missing = [], None
        output.collect(result)
        for write in self._writers(output, result):
            try:
                names.append(output.store(write(), file))
            except JobError:
                raise
            except (Problem, StoreError) as error:
                missing = str(error)
            except Exception as error:  # the answer is right, whatever is wrong with the result
                _log_failure(error)
                missing = "The DICOM object could not be written."
        return names, missing

    def _writers(self, output: DicomOutput, result: FrameResult) -> Iterator[Callable[[], DicomObject]]:
        from service.reports.dicom.secondary_capture import write_overlay  # takes half a second to import
        from service.reports.dicom.structured_report import write_report

        if output.reports:
            yield partial(write_report, self.pipeline, result, output.protocol)
        if output.overlays and isinstance(result, ExplainedFrame):
            yield partial(write_overlay, self.pipeline, result)


def _log_failure(error: Exception) -> None:
    # Only the type is logged: the text may quote the file.
    details = {"request_id": current_work().request_id, "exception": type(error).__qualname__}
    _LOG.error("a frame failed", extra=details)
