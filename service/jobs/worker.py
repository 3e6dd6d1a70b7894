"""One frame of one file becomes one row, whatever happens to it."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, TypeVar

from service.analysis.pipeline import Pipeline
from service.analysis.results import ExplainedFrame, FrameResult
from service.errors import InternalError, Problem
from service.execution.work import Work, work_context
from service.jobs.files import Upload
from service.jobs.journal import ResultRow
from service.observability.request_id import new_request_id
from service.reports.answers import classification
from service.reports.dicom import DicomObject
from service.schemas.problems import ProblemDetails

_LOG = logging.getLogger("fetal_planes.process")

T = TypeVar("T")

Keep = Callable[[DicomObject], str]
"""Puts a DICOM object where it belongs, and says what it is called there."""


def attempt(answer: Callable[[], T], work: Work) -> T | ProblemDetails:
    """Return what `answer` returns as part of `work`, or the problem that it raises; never raise."""
    try:
        with work_context(work):
            return answer()
    except Problem as problem:
        refusal = problem
    except Exception as error:  # a bug, or a disk that is full: told without the text, which may quote the file
        _LOG.error("a frame failed", extra={"request_id": work.request_id, "exception": type(error).__qualname__})
        refusal = InternalError("The frame could not be worked on.")
    return ProblemDetails.of(refusal, work.request_id)


class Wanted(NamedTuple):
    """Which DICOM objects are wanted about each frame of a DICOM object."""

    reports: bool = False
    overlays: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Worker:
    """Reads, classifies and writes; safe to use from several threads at once."""

    pipeline: Pipeline
    wanted: Wanted
    keep: Keep

    def work(self, upload: Upload, index: int, frames: int | None) -> ResultRow:
        """The row of frame `index`; never an exception, since a bad file must not end a run."""
        row = attempt(partial(self._answer, upload, index), Work(new_request_id()))
        if isinstance(row, ProblemDetails):
            return ResultRow(file=upload.name, frame=index, frames=frames, answer=None, problem=row, dicom=[])
        return row

    def _answer(self, upload: Upload, index: int) -> ResultRow:
        _, frame = upload.read(index, self.pipeline.limits)
        dicom = frame.format == "dicom"
        result: FrameResult
        if dicom and self.wanted.overlays:
            result = self.pipeline.explain_frame(frame)
        else:
            result = self.pipeline.classify_frame(frame)
        objects = [self.keep(each) for each in self._objects(result)] if dicom and any(self.wanted) else []
        answer = classification(result)
        return ResultRow(file=upload.name, frame=index, frames=frame.count, answer=answer, problem=None, dicom=objects)

    def _objects(self, result: FrameResult) -> Iterator[DicomObject]:
        from service.reports.dicom.write import write_overlay, write_report  # it takes half a second to load

        if self.wanted.reports:
            yield write_report(self.pipeline, result)
        if self.wanted.overlays and isinstance(result, ExplainedFrame):
            yield write_overlay(self.pipeline, result)
