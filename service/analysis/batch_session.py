"""A batch of files for one request: a line for each frame, and what all of them come to."""

from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import NamedTuple

from service.analysis.batch import Batch, File, FrameOutcome, Runner, Selection
from service.analysis.cine import Cine, CineReader, shot_signature
from service.analysis.pipeline import Pipeline
from service.analysis.results import FrameResult
from service.analysis.thumbnail import Thumbnail
from service.errors import Problem
from service.imaging.frame import Frame
from service.inference.session import Floats


@dataclass(frozen=True, slots=True, eq=False)
class BatchLine:
    """One frame of a batch.

    Attributes
    ----------
    file, index
        The file and the index of the frame in it; `index` is None where the whole file was refused.
    outcome
        The result, or why there is none.
    thumbnail
        Of a still, where thumbnails were requested.
    """

    file: File
    index: int | None
    outcome: FrameResult | Problem
    thumbnail: Thumbnail | None = None


@dataclass(frozen=True, slots=True, eq=False)
class FileCine:
    """What a file of `count` frames shows."""

    file: File
    count: int
    cine: Cine


@dataclass
class BatchTotals:
    """What a batch came to.

    Attributes
    ----------
    files, frames, refused
        The files read, the frames answered, and the frames or whole files refused.
    complete
        Whether every selected frame was analyzed; False where the limit on frames came first.
    cines
        The files of several frames.
    """

    files: int = 0
    frames: int = 0
    refused: int = 0
    complete: bool = True
    cines: list[FileCine] = field(default_factory=list)


class AnalyzedFrame(NamedTuple):
    """A result, with what the batch keeps of the pixels: a loop's shot signature, or a still's thumbnail."""

    result: FrameResult
    signature: Floats | None
    thumbnail: Thumbnail | None


class BatchAccumulator:
    """Turns the outcomes of a batch into lines, and counts them."""

    def __init__(self) -> None:
        self.totals = BatchTotals()
        self._file: File | None = None
        self._loop: tuple[File, int, CineReader] | None = None

    def add(self, outcome: FrameOutcome[AnalyzedFrame]) -> BatchLine:
        """Return the line of the next outcome; outcomes come in the order of files and frames."""
        if outcome.file is not self._file:
            self._begin_file(outcome)
        if isinstance(outcome.value, Problem):
            self.totals.refused += 1
            return BatchLine(outcome.file, outcome.index, outcome.value)
        self.totals.frames += 1
        result, signature, thumbnail = outcome.value
        if self._loop is not None and outcome.index is not None and signature is not None:
            abstains = result.abstain_reason is not None
            self._loop[2].add(outcome.index, result.scores.probabilities, abstains, signature, result.sub_plane)
        return BatchLine(outcome.file, outcome.index, result, thumbnail)

    def finish(self, *, complete: bool) -> BatchTotals:
        """Return the totals of all lines."""
        self._end_loop()
        self.totals.complete = complete
        return self.totals

    def _begin_file(self, outcome: FrameOutcome[AnalyzedFrame]) -> None:
        self._end_loop()
        self._file = outcome.file
        self.totals.files += 1
        if outcome.count > 1:
            self._loop = outcome.file, outcome.count, CineReader()

    def _end_loop(self) -> None:
        if self._loop is not None:
            file, count, reader = self._loop
            self.totals.cines.append(FileCine(file, count, reader.finish()))
        self._loop = None


@dataclass(frozen=True, slots=True)
class BatchSession:
    """How the files of one request are analyzed.

    Attributes
    ----------
    pipeline
        Classifies the frames.
    run
        Runs a piece of work in another thread.
    selection
        Which frames of each file.
    max_frames
        Frames and refusals after which the batch ends, complete or not.
    window
        As in `Batch`.
    thumbnails
        Whether each still gets a thumbnail.
    """

    pipeline: Pipeline
    run: Runner
    selection: Selection
    max_frames: int
    window: int
    thumbnails: bool = False

    async def lines(self, files: Iterable[File]) -> AsyncGenerator[BatchLine | BatchTotals, None]:
        """Yield a line for each frame, in order, then the totals."""
        batch = Batch(self.run, self._analyze, self.pipeline.limits, self.selection, self.window)
        accumulator = BatchAccumulator()
        complete = True
        async with aclosing(batch.outcomes(files)) as outcomes:
            async for outcome in outcomes:
                # The frame after the last allowed one shows that there is more: the batch is not complete.
                if accumulator.totals.frames + accumulator.totals.refused == self.max_frames:
                    complete = False
                    break
                yield accumulator.add(outcome)
        yield accumulator.finish(complete=complete)

    def _analyze(self, frame: Frame) -> AnalyzedFrame:
        """Classify a frame in a worker thread and keep what outlives its pixels."""
        still = frame.count == 1
        result = self.pipeline.classify_frame(frame, with_features=still and self.thumbnails)
        signature = None if still else shot_signature(frame.pixels)
        thumbnail = Thumbnail.of(frame.pixels, result) if still and self.thumbnails else None
        return AnalyzedFrame(result, signature, thumbnail)
