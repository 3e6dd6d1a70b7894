"""Build the wire types of `service.schemas` from the results of `service.analysis`, once per answer."""

import base64
from collections.abc import Sequence
from typing import TypedDict

from service.analysis.batch import File
from service.analysis.batch_session import BatchLine, BatchTotals, FileCine
from service.analysis.cine import Segment
from service.analysis.exam import Exam, ExamPlane
from service.analysis.exam import ExamFrame as ExamFrameResult
from service.analysis.results import ExplainedFrame, FrameResult, ModelIdentity, PlaneScore
from service.errors import Problem
from service.execution.work import current_work
from service.schemas.answers import (
    DEFAULT_TOP_K,
    AbstainReason,
    Classification,
    ExplainedClassification,
    Explanation,
    FrameInfo,
    ModelInfo,
    Overlay,
    Prediction,
    SubPlane,
)
from service.schemas.batch import (
    BatchEnd,
    BatchSummary,
    CineBest,
    CineSegment,
    CineSummary,
    FrameAnswer,
    FrameProblem,
    Source,
)
from service.schemas.exam import ExamFrame, ExamReport, ReviewFrame
from service.schemas.exam import ExamPlane as ExamPlaneAnswer
from service.schemas.manifest import Plane
from service.schemas.problems import ProblemDetails


def model_info(model: ModelIdentity) -> ModelInfo:
    """Return the wire form of a model's identity."""
    return ModelInfo(name=model.name, version=model.version, sha256=model.sha256)


def classification(result: FrameResult, top: int = DEFAULT_TOP_K) -> Classification:
    """Return the answer of `/classify`, with the `top` most probable planes and the request id of the current work."""
    return Classification(**_classification_fields(result, top))


def explained(result: ExplainedFrame, overlay: bytes | None, top: int = DEFAULT_TOP_K) -> ExplainedClassification:
    """Return the answer of `/explain`; `overlay` is the picture as JPEG, or None to leave it out."""
    picture = None
    if overlay is not None:
        data = base64.b64encode(overlay).decode()
        picture = Overlay(media_type="image/jpeg", width=result.frame.width, height=result.frame.height, data=data)
    explanation = Explanation(
        target=result.target.id,
        heatmap=[[round(value, 4) for value in row] for row in result.heat.values.tolist()],
        raw_max=result.heat.raw_max,
        empty=result.heat.empty,
        overlay=picture,
    )
    return ExplainedClassification(**_classification_fields(result, top), explanation=explanation)


def batch_record(
    line: BatchLine | BatchTotals, planes: Sequence[Plane], top: int = DEFAULT_TOP_K
) -> FrameAnswer | FrameProblem | BatchEnd:
    """Return a line of `/classify/batch`; `planes` are the model's."""
    if isinstance(line, BatchTotals):
        return _batch_end(line, planes)
    source = _source(line.file, line.index)
    if isinstance(line.outcome, Problem):
        return _frame_problem(line.outcome, source)
    return FrameAnswer(**_classification_fields(line.outcome, top), source=source)


def exam_report(exam: Exam, model: ModelIdentity) -> ExamReport:
    """Return the answer of `/exam`."""
    planes = [each.plane for each in exam.planes]
    return ExamReport(
        expected=exam.expected,
        missing=exam.missing,
        planes=[_exam_plane(each) for each in exam.planes],
        review=[
            ReviewFrame(
                reason=each.reason, source=_source(each.frame.file, each.frame.index), **_review_fields(each.frame)
            )
            for each in exam.review
        ],
        refused=[
            _frame_problem(line.outcome, _source(line.file, line.index))
            for line in exam.refused
            if isinstance(line.outcome, Problem)
        ],
        cines=[_cine_summary(each, planes) for each in exam.totals.cines],
        files=exam.totals.files,
        frames=exam.totals.frames,
        complete=exam.totals.complete,
        model=model_info(model),
        request_id=current_work().request_id,
    )


class _ClassificationFields(TypedDict):
    predictions: list[Prediction]
    abstain: bool
    abstain_reason: AbstainReason | None
    sub_plane: SubPlane | None
    frame: FrameInfo
    model: ModelInfo
    request_id: str


def _classification_fields(result: FrameResult, top: int) -> _ClassificationFields:
    frame = result.frame
    return {
        "predictions": [_prediction(score) for score in result.ranked[:top]],
        "abstain": result.abstain_reason is not None,
        "abstain_reason": result.abstain_reason,
        "sub_plane": _sub_plane(result.sub_plane),
        "frame": FrameInfo(
            format=frame.format,
            width=frame.width,
            height=frame.height,
            index=frame.index,
            count=frame.count,
            crop=result.crop.box,
            crop_source=result.crop.source,
        ),
        "model": model_info(result.model),
        "request_id": current_work().request_id,
    }


def _prediction(score: PlaneScore) -> Prediction:
    return Prediction(plane=score.plane.id, label=score.plane.label, probability=score.probability)


def _sub_plane(score: PlaneScore | None) -> SubPlane | None:
    if score is None:
        return None
    return SubPlane(plane=score.plane.id, label=score.plane.label, probability=score.probability)


def _source(file: File, index: int | None) -> Source:
    return Source(file=file.number, name=file.name, frame=index)


def _frame_problem(problem: Problem, source: Source) -> FrameProblem:
    return FrameProblem(**dict(ProblemDetails.of(problem, current_work().request_id)), source=source)


def _batch_end(totals: BatchTotals, planes: Sequence[Plane]) -> BatchEnd:
    summary = BatchSummary(
        files=totals.files,
        frames=totals.frames,
        refused=totals.refused,
        complete=totals.complete,
        cines=[_cine_summary(each, planes) for each in totals.cines],
    )
    return BatchEnd(summary=summary, request_id=current_work().request_id)


def _cine_summary(found: FileCine, planes: Sequence[Plane]) -> CineSummary:
    return CineSummary(
        file=found.file.number,
        name=found.file.name,
        count=found.count,
        frames=found.cine.frames,
        cuts=list(found.cine.cuts),
        segments=[_cine_segment(segment, planes) for segment in found.cine.segments],
        best=[
            CineBest(
                plane=planes[best.plane].id,
                label=planes[best.plane].label,
                frame=best.index,
                probability=PlaneScore.rounded(planes[best.plane], best.probability).probability,
                smoothed=PlaneScore.rounded(planes[best.plane], best.smoothed).probability,
                sub_plane=_sub_plane(best.sub_plane),
            )
            for best in found.cine.best
        ],
    )


def _cine_segment(segment: Segment, planes: Sequence[Plane]) -> CineSegment:
    plane = None if segment.plane is None else planes[segment.plane]
    return CineSegment(
        start=segment.start,
        end=segment.end,
        plane=plane.id if plane else None,
        label=plane.label if plane else None,
        confidence=None if segment.confidence is None else round(min(1.0, segment.confidence), 6),
        frames=segment.frames,
        abstained=segment.abstained,
    )


def _exam_plane(each: ExamPlane) -> ExamPlaneAnswer:
    frames = [_exam_frame(frame) for frame in each.frames]
    return ExamPlaneAnswer(
        plane=each.plane.id,
        label=each.plane.label,
        expected=each.expected,
        best=frames[0] if frames else None,
        frames=frames,
    )


def _exam_frame(frame: ExamFrameResult) -> ExamFrame:
    assert frame.prediction is not None  # only a whole cine has none, and that is for review
    return ExamFrame(
        source=_source(frame.file, frame.index),
        plane=frame.prediction.plane.id,
        label=frame.prediction.plane.label,
        probability=frame.prediction.probability,
        runner_up=None if frame.runner_up is None else _prediction(frame.runner_up),
        sub_plane=_sub_plane(frame.sub_plane),
    )


class _ReviewFields(TypedDict):
    plane: str | None
    label: str | None
    probability: float | None
    runner_up: Prediction | None


def _review_fields(frame: ExamFrameResult) -> _ReviewFields:
    first, second = frame.prediction, frame.runner_up
    return {
        "plane": None if first is None else first.plane.id,
        "label": None if first is None else first.plane.label,
        "probability": None if first is None else first.probability,
        "runner_up": None if second is None else _prediction(second),
    }
