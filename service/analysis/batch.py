"""Analyze many files of one or more frames: side by side, answered in order, a few frames in memory at a time.

A still is opened, decoded and analyzed in one job. The frames of a loop are decoded one after the other, because most
formats require it; each is analyzed while those after it are decoded.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import aclosing, closing
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Generic, NamedTuple, Protocol, TypeVar

from service.errors import Problem
from service.execution.work import stage
from service.imaging.files.local_file import Upload
from service.imaging.frame import Frames

F = TypeVar("F")
T = TypeVar("T")
Job = Callable[[], Awaitable[T]]

_ROUNDED_MS = 0.5  # times are whole milliseconds


class File(NamedTuple):
    """One file of a batch.

    Attributes
    ----------
    number
        Its number in the batch, from 0.
    name
        The name that it came with.
    read
        Returns it; may raise a `Problem`.
    companion
        Called where the file is refused: returns what it is if it holds no frame, so that it is skipped instead. None
        for a file that was sent as a frame.
    """

    number: int
    name: str | None
    read: Callable[[], Upload]
    companion: Callable[[], str | None] | None = None


class Skipped(NamedTuple):
    """Why a file was skipped."""

    reason: str


@dataclass(frozen=True, slots=True)
class Selection:
    """Which frames of each file: every n-th, starting with the first, and at most `limit` of them.

    With `fps`, of a file that states times: the first frame of each 1/fps seconds.
    """

    every: int = 1
    limit: int | None = None
    fps: float | None = None

    def indices(self, count: int, times: Sequence[int] | None = None) -> Sequence[int]:
        """Return the indices of the selected frames of a file of `count` frames, shown at `times` (in ms)."""
        if self.fps is not None and times is not None:
            return list(islice(_paced(times, 1000 / self.fps), self.limit))
        end = count if self.limit is None else self.limit * self.every
        return range(0, min(count, end), self.every)


def _paced(times: Sequence[int], period_ms: float) -> Iterator[int]:
    """Yield the first frame of each period; a frame whose time is rounded down counts for the period that begins."""
    due = 0.0
    for index, time in enumerate(times):
        if time + _ROUNDED_MS >= due:
            yield index
            due = ((time + _ROUNDED_MS) // period_ms + 1) * period_ms


@dataclass(frozen=True, slots=True, eq=False)
class FrameOutcome(Generic[T]):
    """One frame of a batch, analyzed or refused; `index` is None where the whole file was refused or skipped."""

    file: File
    index: int | None
    count: int
    value: T | Problem | Skipped


class Runner(Protocol):
    """Runs work in another thread, as `WorkerPool.run` does."""

    def __call__(self, function: Callable[[], T], /) -> Awaitable[T]:
        """Await `function()`."""


@dataclass(frozen=True, slots=True)
class Batch(Generic[F, T]):
    """How the files of a batch are analyzed.

    Attributes
    ----------
    run
        Runs a piece of work in a worker thread.
    analyze
        Called with each frame, in a worker thread. A `Problem` that it raises becomes the frame's outcome.
    open
        Opens a file, in a worker thread.
    selection
        Which frames of each file.
    window
        Jobs under way at the same time; at most as many outcomes wait for an earlier one.
    """

    run: Runner
    analyze: Callable[[F], T]
    open: Callable[[Upload], Frames[F]]
    selection: Selection
    window: int

    async def outcomes(self, files: Iterable[File]) -> AsyncGenerator[FrameOutcome[T], None]:
        """Analyze the selected frames of all files; yield outcomes in the order of files and frames."""
        # The outer loop opens files side by side; a still is complete after that.
        async with aclosing(in_order(self._open_jobs(files), self.window)) as opened_files:
            async for opened in opened_files:
                if isinstance(opened, FrameOutcome):
                    yield opened
                    continue
                # The inner loop goes through the frames of one loop, while the files after it wait in the window.
                async with aclosing(self._loop_outcomes(*opened)) as loop:
                    async for outcome in loop:
                        yield outcome

    async def _open_jobs(
        self, files: Iterable[File]
    ) -> AsyncGenerator[Job[FrameOutcome[T] | tuple[File, Frames[F]]], None]:
        for file in files:
            yield partial(self.run, partial(self._open, file))

    def _open(self, file: File) -> FrameOutcome[T] | tuple[File, Frames[F]]:
        """Open a file; analyze it at once if it has a single frame."""
        try:
            with stage("decode"):
                frames = self.open(file.read())
        except Problem as problem:
            reason = file.companion() if file.companion is not None else None
            return FrameOutcome(file, None, 0, problem if reason is None else Skipped(reason))
        if frames.count > 1:
            return file, frames
        with closing(frames):
            frame = _read(frames, 0)
            return FrameOutcome(file, 0, 1, self._analyze(frame))

    async def _loop_outcomes(self, file: File, frames: Frames[F]) -> AsyncGenerator[FrameOutcome[T], None]:
        indices = iter(self.selection.indices(frames.count, frames.times))
        with closing(frames):
            async with aclosing(in_order(self._loop_jobs(frames), self.window)) as analyzed:
                async for value in analyzed:
                    yield FrameOutcome(file, next(indices), frames.count, value)

    async def _loop_jobs(self, frames: Frames[F]) -> AsyncGenerator[Job[T | Problem], None]:
        for index in self.selection.indices(frames.count, frames.times):
            # The next frame is decoded only after this one: `Frames` is not thread-safe. Its analysis is a job of its
            # own and overlaps with the decoding of the frames after it.
            frame = await self.run(partial(_read, frames, index))
            yield partial(self.run, partial(self._analyze, frame))
            if isinstance(frame, Problem) and not frames.independent:
                return  # the frames after a damaged one build on it

    def _analyze(self, frame: F | Problem) -> T | Problem:
        if isinstance(frame, Problem):
            return frame
        try:
            return self.analyze(frame)
        except Problem as problem:
            return problem


def _read(frames: Frames[T], index: int) -> T | Problem:
    try:
        with stage("decode"):
            return frames.read(index)
    except Problem as problem:
        return problem


async def in_order(jobs: AsyncGenerator[Job[T], None], window: int) -> AsyncGenerator[T, None]:
    """Run jobs side by side and yield their results in the order of the jobs.

    At most `window` jobs are started and not yet yielded. A job is taken from `jobs` only when there is room for it.
    When the generator is closed early, or a job fails, everything under way is canceled.
    """
    under_way: deque[asyncio.Future[T]] = deque()
    try:
        async with aclosing(jobs):
            async for job in jobs:
                under_way.append(asyncio.ensure_future(job()))
                # Yield while the window is full, and also as soon as the oldest job is done: the client gets each
                # answer when it exists.
                while under_way and (len(under_way) >= window or under_way[0].done()):
                    yield await under_way.popleft()
        while under_way:
            yield await under_way.popleft()
    finally:
        for task in under_way:
            task.cancel()
        # Wait until the canceled jobs have ended, so that none outlives the generator.
        await asyncio.gather(*under_way, return_exceptions=True)
