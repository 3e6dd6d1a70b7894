"""What a batch does with each frame, and how its lines and its summary come about."""

from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from dataclasses import dataclass
from typing import NamedTuple

from service.batch import Batch, File, Met, Runner, Selection
from service.batch_schemas import BatchEnd, BatchSummary, CineSummary, FrameAnswer, FrameProblem, Source
from service.cine import CineReader, Floats, glance
from service.errors import Problem
from service.imaging.decode import Frame
from service.pipeline import Pipeline
from service.schemas import Classification, ProblemDetails, classification
from service.sketch import Sketch


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """What is kept of a frame: its answer, what the model said, of a loop a glance, of a still a sketch if asked."""

    answer: Classification
    probabilities: Floats
    sub_plane: tuple[int, float] | None
    glanced: Floats | None
    sketch: Sketch | None


class Line(NamedTuple):
    """What is said of a frame, or of all of them in the end; and the frame's sketch."""

    says: FrameAnswer | FrameProblem | BatchEnd
    sketch: Sketch | None = None


class Tally:
    """Turns the outcomes of a batch into lines, one after the other, and into a summary in the end."""

    def __init__(self, pipeline: Pipeline, request_id: str) -> None:
        self._manifest = pipeline.engine.manifest
        self._request_id = request_id
        self._file: File | None = None
        self._loop: tuple[Source, int, CineReader] | None = None
        self._cines: list[CineSummary] = []
        self.files = self.frames = self.refused = 0

    def line(self, met: Met[Look]) -> Line:
        """The line of the next outcome."""
        if met.file is not self._file:
            self._turn_to(met)
        source = Source(file=met.file.number, name=met.file.name, frame=met.index)
        if isinstance(met.outcome, Problem):
            self.refused += 1
            return Line(FrameProblem(**dict(ProblemDetails.of(met.outcome, self._request_id)), source=source))
        self.frames += 1
        answer = met.outcome.answer
        look = met.outcome
        if self._loop is not None and met.index is not None and look.glanced is not None:
            self._loop[2].add(met.index, look.probabilities, answer.abstain, look.glanced, look.sub_plane)
        return Line(FrameAnswer(**dict(answer), source=source), met.outcome.sketch)

    def end(self, *, complete: bool) -> Line:
        """The summary of all lines."""
        self._close_loop()
        summary = BatchSummary(
            files=self.files, frames=self.frames, refused=self.refused, complete=complete, cines=self._cines
        )
        return Line(BatchEnd(summary=summary, request_id=self._request_id))

    def _turn_to(self, met: Met[Look]) -> None:
        self._close_loop()
        self._file = met.file
        self.files += 1
        if met.count > 1:
            self._loop = Source(file=met.file.number, name=met.file.name, frame=None), met.count, CineReader()

    def _close_loop(self) -> None:
        if self._loop is not None:
            source, count, reader = self._loop
            self._cines.append(CineSummary.of(source, count, reader.finish(), self._manifest))
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
    sketches: bool = False

    async def lines(self, files: Iterable[File]) -> AsyncGenerator[Line, None]:
        """A line for each frame, in order, and the end."""
        batch = Batch(self.run, self._look, self.pipeline.limits, self.selection, self.window)
        tally = Tally(self.pipeline, self.request_id)
        complete = True
        async with aclosing(batch.work(files)) as outcomes:
            async for met in outcomes:
                if tally.frames + tally.refused == self.most:
                    complete = False
                    break
                yield tally.line(met)
        yield tally.end(complete=complete)

    def _look(self, frame: Frame) -> Look:
        still = frame.count == 1
        seen = self.pipeline.classify_frame(frame, with_features=still and self.sketches)
        answer = classification(seen, self.pipeline.engine.package, self.request_id, self.top)
        glanced = None if still else glance(frame.pixels)
        sketch = Sketch.of(seen) if still and self.sketches else None
        return Look(answer, seen.scores.probabilities, seen.sub_plane(), glanced, sketch)
