"""Build the answers of the API from the results of `service.analysis`, once per answer."""

import base64
from collections.abc import Sequence
from contextlib import aclosing

from service.analysis.batch import File
from service.analysis.batch_session import AnalyzedFrame, BatchLine, BatchSession
from service.analysis.exam.reader import ExamReader
from service.analysis.results import ExplainedFrame, FrameResult, ModelIdentity
from service.errors import Problem
from service.execution.work import current_work
from service.inference.prediction_set import SetRule
from service.reports.duplicates import find_duplicates
from service.schemas.answers import (
    DEFAULT_TOP_K,
    Classification,
    ExplainedClassification,
    Explanation,
    FrameInfo,
    ModelInfo,
    Overlay,
    Prediction,
    SubPlane,
)
from service.schemas.batch import BatchEnd, BatchSummary, FrameAnswer, FrameProblem, Source
from service.schemas.exam import ExamReport
from service.schemas.problems import ProblemDetails


def model_info(model: ModelIdentity) -> ModelInfo:
    """Return the wire form of a model's identity."""
    return ModelInfo(**model._asdict())


def classification(result: FrameResult, top: int = DEFAULT_TOP_K, sets: SetRule | None = None) -> Classification:
    """Return the answer of `/classify`, with the `top` most probable planes and the request id of the current work.

    It holds a prediction set where a rule is given.
    """
    frame = result.frame
    return Classification(
        predictions=[Prediction(**score._asdict()) for score in result.ranked[:top]],
        abstain=result.abstain_reason is not None,
        abstain_reason=result.abstain_reason,
        sub_plane=SubPlane(**result.sub_plane._asdict()) if result.sub_plane else None,
        sub_plane_reason=result.sub_plane_reason,
        prediction_set=sets.predict(result.scores, result.abstain_reason) if sets else None,
        frame=FrameInfo(
            format=frame.format,
            width=frame.width,
            height=frame.height,
            index=frame.index,
            count=frame.count,
            seconds=frame.seconds,
            crop=result.crop.box,
            crop_source=result.crop.source,
        ),
        model=model_info(result.model),
        request_id=current_work().request_id,
    )


def explained(
    result: ExplainedFrame, overlay: bytes | None, top: int = DEFAULT_TOP_K, sets: SetRule | None = None
) -> ExplainedClassification:
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
    return ExplainedClassification(**dict(classification(result, top, sets)), explanation=explanation)


def batch_record(
    line: BatchLine | BatchSummary, top: int = DEFAULT_TOP_K, sets: SetRule | None = None
) -> FrameAnswer | FrameProblem | BatchEnd:
    """Return a line of `/classify/batch`."""
    if isinstance(line, BatchSummary):
        return BatchEnd(summary=line, request_id=current_work().request_id)
    return _frame_record(line, top, sets)


async def exam_report(session: BatchSession, files: Sequence[File], reader: ExamReader) -> ExamReport:
    """Analyze the files of an exam and return the answer of `/exam`; the reader keeps the pictures for a page."""
    duplicates = await find_duplicates(files, session.run)
    repeated = {each.source.file for each in duplicates}
    async with aclosing(session.lines([file for file in files if file.number not in repeated])) as lines:
        async for line in lines:
            if isinstance(line, BatchSummary):
                report = reader.finish(line, model_info(session.pipeline.model), duplicates)
            else:
                thumbnail = line.value.thumbnail if isinstance(line.value, AnalyzedFrame) else None
                reader.add(_frame_record(line, reader.top), thumbnail)
    return report


def _frame_record(line: BatchLine, top: int = DEFAULT_TOP_K, sets: SetRule | None = None) -> FrameAnswer | FrameProblem:
    source = Source(file=line.file.number, name=line.file.name, frame=line.index)
    if isinstance(line.value, Problem):
        return FrameProblem(**dict(ProblemDetails.of(line.value, current_work().request_id)), source=source)
    assert isinstance(line.value, AnalyzedFrame)  # a session yields no skipped file
    return FrameAnswer(**dict(classification(line.value.result, top, sets)), source=source)
