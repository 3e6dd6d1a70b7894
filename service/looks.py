"""What a batch does with each frame, and how its lines and its summary come about."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial

from service.batch import Batch, File, Met, Runner, Selection
from service.batch_schemas import BatchEnd, BatchSummary, CineSummary, FrameAnswer, FrameProblem, Source
from service.cine import CineReader, Floats, glance
from service.errors import Problem
from service.imaging.decode import Frame
from service.pipeline import Pipeline
from service.schemas import Classification, ProblemDetails, classification


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """What is kept of a frame: its answer, its probabilities float32 [K] and a glance of it; none of its pixels."""

    answer: Classification
    probabilities: Floats
    glanced: Floats


def look(pipeline: Pipeline, request_id: str, top: int, frame: Frame) -> Look:
    """Classify a frame of a batch."""
    seen = pipeline.classify_frame(frame)
    answer = classification(seen, pipeline.engine.package, request_id, top)
    return Look(answer, seen.scores.probabilities, glance(frame.pixels))


class Tally:
    """Turns the outcomes of a batch into lines, one after the other, and into a summary in the end."""

    def __init__(self, pipeline: Pipeline, request_id: str) -> None:
        self._planes = pipeline.engine.manifest.planes
        self._request_id = request_id
        self._file: File | None = None
        self._loop: tuple[Source, int, CineReader] | None = None
        self._cines: list[CineSummary] = []
        self.files = self.frames = self.refused = 0

    def line(self, met: Met[Look]) -> FrameAnswer | FrameProblem:
        """The line of the next outcome."""
        if met.file is not self._file:
            self._turn_to(met)
        source = Source(file=met.file.number, name=met.file.name, frame=met.index)
        if isinstance(met.outcome, Problem):
            self.refused += 1
            return FrameProblem(**dict(ProblemDetails.of(met.outcome, self._request_id)), source=source)
        self.frames += 1
        answer = met.outcome.answer
        if self._loop is not None and met.index is not None:
            self._loop[2].add(met.index, met.outcome.probabilities, answer.abstain, met.outcome.glanced)
        return FrameAnswer(**dict(answer), source=source)

    def end(self, *, complete: bool) -> BatchEnd:
        """The summary of all lines."""
        self._close_loop()
        summary = BatchSummary(
            files=self.files, frames=self.frames, refused=self.refused, complete=complete, cines=self._cines
        )
        return BatchEnd(summary=summary, request_id=self._request_id)

    def _turn_to(self, met: Met[Look]) -> None:
        self._close_loop()
        self._file = met.file
        self.files += 1
        if met.count > 1:
            self._loop = Source(file=met.file.number, name=met.file.name, frame=None), met.count, CineReader()

    def _close_loop(self) -> None:
        if self._loop is not None:
            source, count, reader = self._loop
            self._cines.append(CineSummary.of(source, count, reader.finish(), self._planes))
        self._loop = None


@dataclass(frozen=True, slots=True)
class Sitting:
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
    """

    pipeline: Pipeline
    run: Runner
    request_id: str
    top: int
    selection: Selection
    most: int
    window: int

    async def lines(self, files: list[File]) -> AsyncGenerator[FrameAnswer | FrameProblem | BatchEnd, None]:
        """A line for each frame, in order, and the end."""
        judge = partial(look, self.pipeline, self.request_id, self.top)
        batch = Batch(self.run, judge, self.pipeline.limits, self.selection, self.window)
        tally = Tally(self.pipeline, self.request_id)
        complete = True
        async with aclosing(batch.work(files)) as outcomes:
            async for met in outcomes:
                if tally.frames + tally.refused == self.most:
                    complete = False
                    break
                yield tally.line(met)
        yield tally.end(complete=complete)
