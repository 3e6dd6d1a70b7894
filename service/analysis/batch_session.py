"""What a batch does with each frame, and how its lines and its summary come about."""

from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from dataclasses import dataclass
from typing import NamedTuple

from service.analysis.batch import Batch, File, FrameOutcome, Runner, Selection
from service.analysis.cine import CineReader, Floats, shot_signature
from service.analysis.pipeline import Pipeline
from service.analysis.thumbnail import Thumbnail
from service.errors import Problem
from service.imaging.frame import Frame
from service.reports.answers import cine_summary, classification
from service.schemas.answers import Classification
from service.schemas.batch import BatchEnd, BatchSummary, CineSummary, FrameAnswer, FrameProblem, Source
from service.schemas.problems import ProblemDetails


@dataclass(frozen=True, slots=True, eq=False)
class KeptResult:
    """What is kept of a frame: its answer, what the model said, of a loop a glance, of a still a sketch if asked."""

    answer: Classification
    probabilities: Floats
    sub_plane: tuple[int, float] | None
    signature: Floats | None
    thumbnail: Thumbnail | None


class BatchLine(NamedTuple):
    """What is said of a frame, or of all of them in the end; and the frame's sketch."""

    says: FrameAnswer | FrameProblem | BatchEnd
    thumbnail: Thumbnail | None = None


class BatchAccumulator:
    """Turns the outcomes of a batch into lines, one after the other, and into a summary in the end."""

    def __init__(self, pipeline: Pipeline, request_id: str) -> None:
        self._manifest = pipeline.engine.manifest
        self._request_id = request_id
        self._file: File | None = None
        self._loop: tuple[Source, int, CineReader] | None = None
        self._cines: list[CineSummary] = []
        self.files = self.frames = self.refused = 0

    def line(self, met: FrameOutcome[KeptResult]) -> BatchLine:
        """The line of the next outcome."""
        if met.file is not self._file:
            self._turn_to(met)
        source = Source(file=met.file.number, name=met.file.name, frame=met.index)
        if isinstance(met.outcome, Problem):
            self.refused += 1
            return BatchLine(FrameProblem(**dict(ProblemDetails.of(met.outcome, self._request_id)), source=source))
        self.frames += 1
        answer = met.outcome.answer
        look = met.outcome
        if self._loop is not None and met.index is not None and look.signature is not None:
            self._loop[2].add(met.index, look.probabilities, answer.abstain, look.signature, look.sub_plane)
        return BatchLine(FrameAnswer(**dict(answer), source=source), met.outcome.thumbnail)

    def end(self, *, complete: bool) -> BatchLine:
        """The summary of all lines."""
        self._close_loop()
        summary = BatchSummary(
            files=self.files, frames=self.frames, refused=self.refused, complete=complete, cines=self._cines
        )
        return BatchLine(BatchEnd(summary=summary, request_id=self._request_id))

    def _turn_to(self, met: FrameOutcome[KeptResult]) -> None:
        self._close_loop()
        self._file = met.file
        self.files += 1
        if met.count > 1:
            self._loop = Source(file=met.file.number, name=met.file.name, frame=None), met.count, CineReader()

    def _close_loop(self) -> None:
        if self._loop is not None:
            source, count, reader = self._loop
            self._cines.append(cine_summary(source, count, reader.finish(), self._manifest))
        self._loop = None


@dataclass(frozen=True, slots=True)
class BatchSession:
    """A batch of frames to be looked at for one request.

    Attributes
    ----------
    pipeline, run
        What classifies, and what does so in another thread.
    request_id, top
        For the answers.
    selection
        Which frames of each file.
    most
        Frames, or refusals, after which the batch ends, complete or not.
    window
        As of `Batch`.
    sketches
        Whether a sketch of each still is made.
    """

    pipeline: Pipeline
    run: Runner
    request_id: str
    top: int
    selection: Selection
    most: int
    window: int
    thumbnails: bool = False

    async def lines(self, files: Iterable[File]) -> AsyncGenerator[BatchLine, None]:
        """A line for each frame, in order, and the end."""
        batch = Batch(self.run, self._look, self.pipeline.limits, self.selection, self.window)
        tally = BatchAccumulator(self.pipeline, self.request_id)
        complete = True
        async with aclosing(batch.work(files)) as outcomes:
            async for met in outcomes:
                if tally.frames + tally.refused == self.most:
                    complete = False
                    break
                yield tally.line(met)
        yield tally.end(complete=complete)

    def _look(self, frame: Frame) -> KeptResult:
        still = frame.count == 1
        seen = self.pipeline.classify_frame(frame, with_features=still and self.thumbnails)
        answer = classification(seen, self.pipeline.engine.package, self.request_id, self.top)
        signature = None if still else shot_signature(frame.pixels)
        thumbnail = Thumbnail.of(seen) if still and self.thumbnails else None
        return KeptResult(answer, seen.scores.probabilities, seen.sub_plane(), signature, thumbnail)
