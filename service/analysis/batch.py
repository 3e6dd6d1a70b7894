"""Many files, each with one frame or many: looked at side by side, answered in order, a few frames in memory at a time.

A still is opened, decoded and judged in one go. The frames of a loop are decoded one after the other, as most formats
demand it, and judged side by side with the decoding of those that follow.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Generic, NamedTuple, Protocol, TypeVar

from service.errors import Problem
from service.execution.work import stage
from service.imaging.decode import open_frames
from service.imaging.frame import Frame, Frames, Limits

T = TypeVar("T")
Job = Callable[[], Awaitable[T]]


class File(NamedTuple):
    """One file of a batch: its number from 0, the name it came with, and how to get its bytes, which may be refused."""

    number: int
    name: str | None
    read: Callable[[], bytes]


@dataclass(frozen=True, slots=True)
class Selection:
    """Which frames of each file: every so manieth from the first on, at most so many."""

    every: int = 1
    limit: int | None = None

    def indices(self, count: int) -> range:
        """The frames chosen of `count`."""
        most = count if self.limit is None else self.limit * self.every
        return range(0, min(count, most), self.every)


@dataclass(frozen=True, slots=True, eq=False)
class FrameOutcome(Generic[T]):
    """One frame of a batch, judged or refused; `index` is None where its file was refused as a whole."""

    file: File
    index: int | None
    count: int
    outcome: T | Problem


class Runner(Protocol):
    """Does work in another thread, as `WorkerPool.run` does."""

    def __call__(self, work: Callable[[], T]) -> Awaitable[T]:
        """Await `work()`."""


@dataclass(frozen=True, slots=True)
class Batch(Generic[T]):
    """How a batch is worked on.

    Attributes
    ----------
    run
        Does a piece of work in a thread of the pool.
    judge
        What is done to each frame, in such a thread. A `Problem` that it raises is the frame's outcome.
    limits
        Of each file.
    selection
        Which frames of each file.
    window
        How many pieces of work are under way at once; as many outcomes, at most, wait for those before them.
    """

    run: Runner
    judge: Callable[[Frame], T]
    limits: Limits
    selection: Selection
    window: int

    async def work(self, files: Iterable[File]) -> AsyncGenerator[FrameOutcome[T], None]:
        """Judge the chosen frames of all files; the outcomes come in the order of files and frames."""
        async with aclosing(in_order(self._openings(files), self.window)) as begun_files:
            async for begun in begun_files:
                if isinstance(begun, FrameOutcome):
                    yield begun
                    continue
                async with aclosing(self._loop(*begun)) as loop:
                    async for met in loop:
                        yield met

    async def _openings(
        self, files: Iterable[File]
    ) -> AsyncGenerator[Job[FrameOutcome[T] | tuple[File, Frames]], None]:
        for file in files:
            yield partial(self.run, partial(self._begin, file))

    def _begin(self, file: File) -> FrameOutcome[T] | tuple[File, Frames]:
        """Open a file; a still is judged at once."""
        try:
            frames = open_frames(file.read(), self.limits)
        except Problem as problem:
            return FrameOutcome(file, None, 0, problem)
        if frames.count > 1:
            return file, frames
        return FrameOutcome(file, 0, 1, self._outcome(frames, 0))

    async def _loop(self, file: File, frames: Frames) -> AsyncGenerator[FrameOutcome[T], None]:
        indices = iter(self.selection.indices(frames.count))
        async with aclosing(in_order(self._judgments(frames), self.window)) as judged:
            async for outcome in judged:
                yield FrameOutcome(file, next(indices), frames.count, outcome)

    async def _judgments(self, frames: Frames) -> AsyncGenerator[Job[T | Problem], None]:
        for index in self.selection.indices(frames.count):
            frame = await self.run(partial(_read, frames, index))
            yield partial(self.run, partial(self._judged, frame))
            if isinstance(frame, Problem) and not frames.independent:
                return  # what follows the damage cannot be reached

    def _outcome(self, frames: Frames, index: int) -> T | Problem:
        return self._judged(_read(frames, index))

    def _judged(self, frame: Frame | Problem) -> T | Problem:
        if isinstance(frame, Problem):
            return frame
        try:
            return self.judge(frame)
        except Problem as problem:
            return problem


def _read(frames: Frames, index: int) -> Frame | Problem:
    try:
        with stage("decode"):
            return frames.read(index)
    except Problem as problem:
        return problem


async def in_order(jobs: AsyncGenerator[Job[T], None], window: int) -> AsyncGenerator[T, None]:
    """Do jobs side by side, at most `window` begun and not yet handed out; their results come in the jobs' order.

    Jobs are taken from their source only when there is room for them. Closed early, or with a job that fails, all that
    is under way is cancelled.
    """
    under_way: deque[asyncio.Future[T]] = deque()
    try:
        async with aclosing(jobs):
            async for job in jobs:
                under_way.append(asyncio.ensure_future(job()))
                while under_way and (len(under_way) >= window or under_way[0].done()):
                    yield await under_way.popleft()
        while under_way:
            yield await under_way.popleft()
    finally:
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)
