"""Sort an exam: its frames by plane, the best frame of each, missing planes, and frames that a person should review.

A cine contributes only the best frame of each plane. A plane that is present means that a frame was recognized as it;
it implies nothing about the frame's quality, or about what a guideline requires of that plane.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from service.analysis.batch import File, Runner
from service.analysis.batch_session import BatchLine, BatchTotals, FileCine
from service.analysis.pipeline import Pipeline
from service.analysis.results import FrameResult, PlaneScore
from service.analysis.thumbnail import Thumbnail
from service.errors import NoSuchPlane, Problem
from service.imaging.decode import open_frames
from service.imaging.frame import Frame
from service.schemas.exam import ReviewReason
from service.schemas.manifest import Plane

CLOSE = 0.2
"""A person should review a frame whose first two planes differ by less than this probability."""

MAX_THUMBNAILS = 600
"""Stills that a report shows; it lists the others by name, because thousands of pictures would fill the memory."""

FrameRef = tuple[int, int]
"""Number of a file, index of a frame."""


@dataclass(frozen=True, slots=True, eq=False)
class ExamFrame:
    """A still, the best frame of a plane in a cine, or a whole cine.

    Attributes
    ----------
    file, index
        The file and the index of the frame; `index` is None for a whole cine.
    prediction, runner_up
        The first and the second plane. A frame of a cine has no second plane, a whole cine has neither.
    sub_plane
        The sub-plane of the first plane, where the model names one.
    """

    file: File
    index: int | None
    prediction: PlaneScore | None = None
    runner_up: PlaneScore | None = None
    sub_plane: PlaneScore | None = None


@dataclass(frozen=True, slots=True, eq=False)
class ReviewFrame:
    """A frame or a whole cine that a person should review, and why."""

    reason: ReviewReason
    frame: ExamFrame


@dataclass(frozen=True, slots=True, eq=False)
class ExamPlane:
    """The frames of one plane, the most probable first."""

    plane: Plane
    expected: bool
    frames: list[ExamFrame]

    @property
    def best(self) -> ExamFrame | None:
        """The most probable frame."""
        return self.frames[0] if self.frames else None


@dataclass(frozen=True, slots=True, eq=False)
class Exam:
    """A sorted exam.

    Attributes
    ----------
    expected
        Ids of the planes that it should hold.
    planes
        Every plane of the model, in its order.
    review, refused
        What a person should review, and the lines of what could not be read.
    totals
        Of the batch.
    """

    expected: list[str]
    planes: list[ExamPlane]
    review: list[ReviewFrame]
    refused: list[BatchLine]
    totals: BatchTotals

    @property
    def missing(self) -> list[str]:
        """Ids of the expected planes that no frame was recognized as."""
        found = {each.plane.id for each in self.planes if each.frames}
        return [plane for plane in self.expected if plane not in found]


def choose_expected(requested: str | None, default: str | None, planes: Sequence[Plane]) -> list[str]:
    """Return the ids of the planes that an exam should hold, in the model's order.

    Parameters
    ----------
    requested
        Plane ids separated by commas, or None for the default.
    default
        Plane ids separated by commas; ids that the model does not have are ignored. None means all planes but `other`.

    Raises
    ------
    NoSuchPlane
        The model has no plane of a requested id.
    """
    known = [plane.id for plane in planes]
    chosen = default if requested is None else requested
    if chosen is None:
        return [name for name in known if name != "other"]
    wanted = {name.strip() for name in chosen.split(",") if name.strip()}
    if requested is not None and not wanted <= set(known):
        raise NoSuchPlane(f"The model has no such plane. Its planes are {', '.join(known)}.")
    return [name for name in known if name in wanted]


@dataclass
class ExamReader:
    """Takes the lines of a batch and sorts them into an exam.

    Attributes
    ----------
    planes, expected
        The model's planes; ids of those that the exam should hold.
    thumbnails
        JPEGs of the first stills that came with a thumbnail.
    best
        For each plane id, the probability, place and thumbnail of its best still so far. The thumbnail holds what the
        evidence needs, so that the frame is not analyzed a second time.
    """

    planes: Sequence[Plane]
    expected: list[str]
    thumbnails: dict[FrameRef, bytes] = field(default_factory=dict)
    best: dict[str, tuple[float, FrameRef, Thumbnail]] = field(default_factory=dict)
    _frames: list[ExamFrame] = field(default_factory=list)
    _review: list[ReviewFrame] = field(default_factory=list)
    _refused: list[BatchLine] = field(default_factory=list)

    def add(self, line: BatchLine) -> None:
        """Take the next line."""
        if isinstance(line.outcome, Problem):
            self._refused.append(line)
        elif line.outcome.frame.count == 1:
            self._add_still(line.file, line.outcome)
            if line.thumbnail is not None:
                self._keep(line.file, line.outcome, line.thumbnail)

    def finish(self, totals: BatchTotals) -> Exam:
        """Return the exam, after the last line."""
        for cine in totals.cines:
            self._add_cine(cine)
        planes = [self._sort_plane(plane) for plane in self.planes]
        return Exam(self.expected, planes, self._review, self._refused, totals)

    def _add_still(self, file: File, result: FrameResult) -> None:
        first, second = result.ranked[:2]
        frame = ExamFrame(file, 0, first, second, result.sub_plane)
        if result.abstain_reason is not None:
            self._review.append(ReviewFrame(result.abstain_reason, frame))
            return
        self._frames.append(frame)
        if first.probability - second.probability < CLOSE:
            self._review.append(ReviewFrame("close", frame))

    def _keep(self, file: File, result: FrameResult, thumbnail: Thumbnail) -> None:
        place, first = (file.number, 0), result.ranked[0]
        if len(self.thumbnails) < MAX_THUMBNAILS:
            self.thumbnails[place] = thumbnail.jpeg
        best = self.best.get(first.plane.id)
        if result.abstain_reason is None and (best is None or first.probability > best[0]):
            self.best[first.plane.id] = first.probability, place, thumbnail

    def _add_cine(self, found: FileCine) -> None:
        for best in found.cine.best:
            score = PlaneScore.rounded(self.planes[best.plane], best.probability)
            self._frames.append(ExamFrame(found.file, best.index, score, sub_plane=best.sub_plane))
        if found.cine.frames and not found.cine.best:
            self._review.append(ReviewFrame("no-plane", ExamFrame(found.file, None)))

    def _sort_plane(self, plane: Plane) -> ExamPlane:
        scored = [
            (frame.prediction.probability, frame)
            for frame in self._frames
            if frame.prediction is not None and frame.prediction.plane.id == plane.id
        ]
        ranked = [frame for _, frame in sorted(scored, key=lambda pair: -pair[0])]
        return ExamPlane(plane, plane.id in self.expected, ranked)


async def draw_evidence(
    exam: Exam, reader: ExamReader, files: Sequence[File], pipeline: Pipeline, run: Runner
) -> dict[FrameRef, tuple[bytes, bytes]]:
    """Return, for the best frame of each plane, two small JPEGs: the frame, and the frame with its evidence.

    The reader holds what a still needs. The best frame of a cine is known only at the end; it is analyzed again.
    """
    kept = {place: thumbnail for _, place, thumbnail in reader.best.values()}
    best = [frame for plane in exam.planes if (frame := plane.best) is not None]
    places = [(frame.file.number, frame.index or 0) for frame in best]
    drawn = [run(partial(_draw, pipeline, kept.get(place), files[place[0]], place[1])) for place in places]
    return dict(zip(places, await asyncio.gather(*drawn), strict=True))


def _draw(pipeline: Pipeline, thumbnail: Thumbnail | None, file: File, index: int) -> tuple[bytes, bytes]:
    if thumbnail is None:
        frame = _read(file, index, pipeline)
        thumbnail = Thumbnail.of(frame.pixels, pipeline.classify_frame(frame, with_features=True))
    return thumbnail.jpeg, thumbnail.draw_evidence(pipeline.engine)


def _read(file: File, index: int, pipeline: Pipeline) -> Frame:
    frames = open_frames(file.read(), pipeline.limits)
    if not frames.independent:  # frame by frame, as the batch did: the limit on pixels counts the frames of one leap
        for before in range(index):
            frames.read(before)
    return frames.read(index)
