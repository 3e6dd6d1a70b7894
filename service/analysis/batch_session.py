"""A batch of files for one request: a line for each frame, and what all of them come to."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from service.analysis.batch import Batch, File, FrameOutcome, Runner, Selection, Skipped
from service.analysis.cine import CineReader, shot_signature
from service.analysis.pipeline import Pipeline
from service.analysis.results import FrameResult
from service.analysis.thumbnail import Thumbnail
from service.errors import Problem
from service.imaging.letterbox import PreparedFrame
from service.inference.session import Floats
from service.schemas.batch import BatchSummary, CineSummary, SkippedMember, Source
from service.schemas.manifest import Plane

_WINDOW_PER_THREAD = 3  # frames of a batch in work, waiting, or finished before an earlier one


class AnalyzedFrame(NamedTuple):
    """A result, with what the batch keeps of the pixels: a loop's shot signature, or a still's thumbnail."""

    result: FrameResult
    signature: Floats | None
    thumbnail: Thumbnail | None


BatchLine = FrameOutcome[AnalyzedFrame]


class BatchCounter:
    """Counts the lines of a batch, and reads its cines one after the other."""

    def __init__(self, planes: Sequence[Plane]) -> None:
        self.files = self.frames = self.refused = 0
        self.file: File | None = None  # the file of the last line
        self._planes = planes
        self._cine: CineReader | None = None  # of `file`, if it has several frames
        self._cines: list[CineSummary] = []
        self._skipped: list[SkippedMember] = []

    def add(self, line: BatchLine) -> None:
        """Take the next line; lines come in the order of files and frames."""
        if line.file is not self.file:
            self._end_cine()
            self.file = line.file
            self.files += 1
            if line.count > 1:
                self._cine = CineReader(line.file, line.count, self._planes)
        if isinstance(line.value, Skipped):
            source = Source(file=line.file.number, name=line.file.name, frame=None)
            self._skipped.append(SkippedMember(source=source, reason=line.value.reason))
            return
        if isinstance(line.value, Problem):
            self.refused += 1
            return
        self.frames += 1
        if self._cine is not None and line.value.signature is not None:
            self._cine.add(line.value.result, line.value.signature)

    def finish(self, files: int, files_left: int) -> BatchSummary:
        """Return the totals, and what each cine shows, of `files` read to their end and `files_left` not."""
        self._end_cine()
        return BatchSummary(
            files=files,
            files_left=files_left,
            frames=self.frames,
            refused=self.refused,
            complete=not files_left,
            cines=self._cines,
            skipped=self._skipped,
        )

    def _end_cine(self) -> None:
        if self._cine is not None:
            self._cines.append(self._cine.finish())
        self._cine = None


def _nothing() -> None:
    pass


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
    record
        Called after each line, so that a long batch shows in the metrics while it runs.
    """

    pipeline: Pipeline
    run: Runner
    selection: Selection
    max_frames: int
    window: int
    thumbnails: bool = False
    record: Callable[[], None] = _nothing

    async def lines(self, files: Sequence[File]) -> AsyncGenerator[BatchLine | BatchSummary, None]:
        """Yield a line for each frame, in order, then the totals."""
        open_file = partial(self.pipeline.open, picture="thumbnail" if self.thumbnails else "none")
        batch = Batch(self.run, self._analyze, open_file, self.selection, self.window)
        counter = BatchCounter(self.pipeline.engine.manifest.planes)
        files_left = 0
        async with aclosing(batch.outcomes(files)) as outcomes:
            async for outcome in outcomes:
                # The frame after the last allowed one shows that there is more: the batch is not complete.
                if counter.frames + counter.refused == self.max_frames:
                    files_left = len(files) - counter.files + (outcome.file is counter.file)
                    break
                counter.add(outcome)
                self.record()
                if not isinstance(outcome.value, Skipped):
                    yield outcome
        yield counter.finish(len(files) - files_left, files_left)

    def _analyze(self, frame: PreparedFrame) -> AnalyzedFrame:
        """Classify a frame in a worker thread and keep what outlives its pixels."""
        shown = frame.cells is None and self.thumbnails
        result = self.pipeline.classify_frame(frame, with_features=shown)
        signature = None if frame.cells is None else shot_signature(frame.cells)
        thumbnail = Thumbnail.of(frame, result) if shown else None
        return AnalyzedFrame(result, signature, thumbnail)


@contextmanager
def local_session(
    pipeline: Pipeline, threads: int, selection: Selection, max_frames: int, *, thumbnails: bool = False
) -> Iterator[BatchSession]:
    """Return a context with a session in threads of its own; call it where an event loop runs."""
    with ThreadPoolExecutor(threads) as pool:
        run = partial(asyncio.get_running_loop().run_in_executor, pool)
        yield BatchSession(pipeline, run, selection, max_frames, _WINDOW_PER_THREAD * threads, thumbnails)
