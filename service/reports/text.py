"""Answers as lines for a person at a terminal. Frames are numbered from 1 here, and from 0 in JSON."""

from collections.abc import Iterator, Sequence

from service.analysis.text import ITEM_STATES, REASONS, left_text, percent, sub_plane_text, unnamed_text
from service.schemas.answers import Classification, PredictionSet
from service.schemas.batch import CineSummary, FrameProblem, Source
from service.schemas.exam import ExamReport
from service.schemas.file_names import printable
from service.schemas.problems import ProblemDetails
from service.schemas.protocols import CheckedItem, ProtocolInfo

_LABEL = 20  # columns


def answer_line(file: str, answer: Classification | ProblemDetails) -> str:
    """Return the file with its plane and probability, or why it has none."""
    if isinstance(answer, ProblemDetails):
        return f"{printable(file)}  refused: {answer.detail}"
    planes = "" if answer.prediction_set is None else _set_text(answer.prediction_set)
    if answer.abstain_reason is not None:
        return f"{printable(file)}  not sure: {REASONS[answer.abstain_reason]}{planes}"
    first = answer.predictions[0]
    sub_plane = sub_plane_text(answer.sub_plane, answer.sub_plane_reason)
    return f"{printable(file)}  {first.label:{_LABEL}}{percent(first.probability):>8}  {sub_plane}".rstrip() + planes


def _set_text(found: PredictionSet) -> str:
    """Return the planes of a prediction set with its level."""
    return f"  set at {found.level:g}: {', '.join(found.planes)}"


def cine_lines(cine: CineSummary) -> Iterator[str]:
    """Yield the segments of a cine and the most probable frame of each plane."""
    file = printable(cine.name or f"file {cine.file + 1}")
    yield f"{file}  {cine.count} frames, {cine.frames} of them classified"
    for segment in cine.segments:
        confidence = "" if segment.confidence is None else f"{percent(segment.confidence):>8}"
        span, width = f"frames {segment.start + 1} to {segment.end + 1}", _LABEL
        if segment.start_seconds is not None and segment.end_seconds is not None:
            span, width = f"{span} ({segment.start_seconds:.2f} to {segment.end_seconds:.2f} s)", 2 * _LABEL
        label = segment.label or unnamed_text(segment.abstained, segment.frames)
        yield f"{file}  {span:{width}}{label:{_LABEL}}{confidence}"
    for best in cine.best:
        span = f"most probable: frame {best.frame + 1}" + ("" if best.seconds is None else f" ({best.seconds:.2f} s)")
        yield f"{file}  {span}  {best.label:{_LABEL}}{percent(best.probability):>8}"


def exam_lines(report: ExamReport) -> Iterator[str]:
    """Yield the planes of an exam with their best frame, the items of its protocol, and what a person should check."""
    for plane in report.planes:
        if plane.best is not None:
            found = f"{percent(plane.best.probability):>8}  {_place(plane.best.source)}"
            best = "chosen" if plane.chosen else "most probable"
            yield f"{plane.label:{_LABEL}}{len(plane.frames):>4} found, {best}{found}"
    yield from protocol_lines(report.protocol, report.items)
    for review in report.review:
        yield f"{_place(review.source)}  to review: {REASONS[review.reason]}"
    yield from map(refused_line, report.refused)
    for duplicate in report.duplicates:
        yield f"{_place(duplicate.source)}  duplicate of {_place(duplicate.same_as)}"
    end = "" if report.complete else f"; {left_text(report.files_left, report.files + report.files_left)}"
    yield f"{report.frames} frames of {report.files} files, {len(report.refused)} refused{end}"


def protocol_lines(protocol: ProtocolInfo, items: Sequence[CheckedItem]) -> Iterator[str]:
    """Yield the name of a protocol, then each item with its state."""
    yield printable(f"{protocol.name}, version {protocol.version}:")
    for item in items:
        needed = f" ({len(item.frames)} of {item.min} frames)" if item.min > 1 else ""
        optional = ", optional" if item.optional else ""
        yield printable(f"{item.label:{_LABEL}}   {ITEM_STATES[item.state].lower()}{needed}{optional}")


def refused_line(problem: FrameProblem) -> str:
    """Return the file of a refused frame and why it was refused."""
    return f"{_place(problem.source)}  refused: {problem.detail}"


def _place(source: Source) -> str:
    name = printable(source.name or f"file {source.file + 1}")
    return f"{name}, frame {source.frame + 1}" if source.frame else name
