"""An exam: its frames by plane, the best of each, what is missing of what was expected, and what a person must look at.

Of a cine only the best frame of each plane counts. That a plane is there says that a frame was recognized as it, not
that the frame is good, nor that what the guideline asks of the plane was seen on it.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from service.analysis.batch import File, Runner
from service.analysis.batch_session import BatchLine
from service.analysis.pipeline import Pipeline
from service.analysis.thumbnail import Thumbnail
from service.errors import NoSuchPlane
from service.imaging.decode import open_frames
from service.imaging.frame import Frame
from service.schemas.answers import ModelInfo
from service.schemas.batch import BatchEnd, CineSummary, FrameAnswer, FrameProblem, Source
from service.schemas.exam import ExamFrame, ExamPlane, ExamReport, ReviewFrame
from service.schemas.manifest import Plane

CLOSE = 0.2
"""Probability between the first two planes; with less a person should look."""

PICTURES = 600
"""Stills that a report shows, the first ones; the others are told in words, lest thousands of them fill the memory."""

FrameRef = tuple[int, int]
"""Number of a file, index of a frame."""


def choose_expected(asked: str | None, default: str | None, planes: Sequence[Plane]) -> list[str]:
    """The planes that an exam should hold, in the model's order.

    Parameters
    ----------
    asked
        Plane ids with commas between them, or None for the default.
    default
        The same; of it, only what the model knows counts. None for all but `other`.

    Raises
    ------
    NoSuchPlane
        One that was asked for is not the model's.
    """
    known = [plane.id for plane in planes]
    chosen = default if asked is None else asked
    if chosen is None:
        return [name for name in known if name != "other"]
    wanted = {name.strip() for name in chosen.split(",") if name.strip()}
    if asked is not None and not wanted <= set(known):
        raise NoSuchPlane(f"The model has no such plane. It knows {', '.join(known)}.")
    return [name for name in known if name in wanted]


@dataclass
class ExamReader:
    """Takes the lines of a batch and tells the exam in the end.

    Attributes
    ----------
    planes, expected
        Of the model; those that there should be.
    thumbnails
        JPEGs of the first stills that came with a sketch.
    best
        Of each plane the sketch of the best still so far, with its probability and its place: all that is kept of
        what the model said, so that the evidence for it costs no second look.
    """

    planes: Sequence[Plane]
    expected: list[str]
    thumbnails: dict[FrameRef, bytes] = field(default_factory=dict)
    best: dict[str, tuple[float, FrameRef, Thumbnail]] = field(default_factory=dict)
    _frames: list[ExamFrame] = field(default_factory=list)
    _review: list[ReviewFrame] = field(default_factory=list)
    _refused: list[FrameProblem] = field(default_factory=list)

    def add(self, line: BatchLine) -> None:
        """Take the next line; the end is for `finish`."""
        if isinstance(line.says, FrameProblem):
            self._refused.append(line.says)
        elif isinstance(line.says, FrameAnswer) and line.says.frame.count == 1:
            self._add_still(line.says)
            if line.thumbnail is not None:
                self._keep(line.says, line.thumbnail)

    def finish(self, end: BatchEnd, model: ModelInfo) -> ExamReport:
        """The exam, once all lines were taken."""
        for cine in end.summary.cines:
            self._add_cine(cine)
        by_plane = {plane.id: [frame for frame in self._frames if frame.plane == plane.id] for plane in self.planes}
        planes = [self._plane(plane, by_plane[plane.id]) for plane in self.planes]
        return ExamReport(
            expected=self.expected,
            missing=[plane for plane in self.expected if not by_plane[plane]],
            planes=planes,
            review=self._review,
            refused=self._refused,
            cines=end.summary.cines,
            files=end.summary.files,
            frames=end.summary.frames,
            complete=end.summary.complete,
            model=model,
            request_id=end.request_id,
        )

    def _add_still(self, answer: FrameAnswer) -> None:
        first, *others = answer.predictions
        frame = ExamFrame(
            source=answer.source,
            plane=first.plane,
            label=first.label,
            probability=first.probability,
            runner_up=others[0] if others else None,
            sub_plane=answer.sub_plane,
        )
        if answer.abstain_reason is not None:
            self._review.append(ReviewFrame(reason=answer.abstain_reason, **dict(frame)))
            return
        self._frames.append(frame)
        if others and first.probability - others[0].probability < CLOSE:
            self._review.append(ReviewFrame(reason="close", **dict(frame)))

    def _keep(self, answer: FrameAnswer, thumbnail: Thumbnail) -> None:
        place, first = (answer.source.file, 0), answer.predictions[0]
        if len(self.thumbnails) < PICTURES:
            self.thumbnails[place] = thumbnail.jpeg
        best = self.best.get(first.plane)
        if not answer.abstain and (best is None or first.probability > best[0]):
            self.best[first.plane] = first.probability, place, thumbnail

    def _add_cine(self, cine: CineSummary) -> None:
        for best in cine.best:
            source = Source(file=cine.file, name=cine.name, frame=best.frame)
            frame = ExamFrame(
                source=source,
                plane=best.plane,
                label=best.label,
                probability=best.probability,
                runner_up=None,
                sub_plane=best.sub_plane,
            )
            self._frames.append(frame)
        if cine.frames and not cine.best:
            source = Source(file=cine.file, name=cine.name, frame=None)
            nothing = {"plane": None, "label": None, "probability": None, "runner_up": None}
            self._review.append(ReviewFrame(reason="no-plane", source=source, **nothing))

    def _plane(self, plane: Plane, frames: list[ExamFrame]) -> ExamPlane:
        ranked = sorted(frames, key=lambda frame: -frame.probability)
        return ExamPlane(
            plane=plane.id,
            label=plane.label,
            expected=plane.id in self.expected,
            best=ranked[0] if ranked else None,
            frames=ranked,
        )


async def draw_evidence(
    report: ExamReport, reader: ExamReader, files: Sequence[File], pipeline: Pipeline, run: Runner
) -> dict[FrameRef, tuple[bytes, bytes]]:
    """The best frame of each plane, and the same with its evidence painted over it, as small JPEGs.

    Of stills the reader has what it takes. The best frame of a cine is known only in the end; it is looked at again.
    """
    kept = {place: thumbnail for _, place, thumbnail in reader.best.values()}
    best = [plane.best.source for plane in report.planes if plane.best is not None]
    places = [(source.file, source.frame or 0) for source in best]
    drawn = [run(partial(_draw, pipeline, kept.get(place), files[place[0]], place[1])) for place in places]
    return dict(zip(places, await asyncio.gather(*drawn), strict=True))


def _draw(pipeline: Pipeline, thumbnail: Thumbnail | None, file: File, index: int) -> tuple[bytes, bytes]:
    if thumbnail is None:
        thumbnail = Thumbnail.of(pipeline.classify_frame(_read(file, index, pipeline), with_features=True))
    return thumbnail.jpeg, thumbnail.draw_evidence(pipeline.engine)


def _read(file: File, index: int, pipeline: Pipeline) -> Frame:
    frames = open_frames(file.read(), pipeline.limits)
    if not frames.independent:  # step by step, as the batch did: the limit on pixels is meant for leaps
        for before in range(index):
            frames.read(before)
    return frames.read(index)
