"""The runner of every job, which keeps the worker threads busy and yields finished rows, and its progress bar."""

import sys
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, TextIO

from tqdm import tqdm

from service.analysis.batch import File, Selection
from service.analysis.cine import CineReader
from service.errors import Problem
from service.jobs.files import SourceFile
from service.jobs.journal import ResultLog
from service.jobs.rows import ResultRow, SkippedFile
from service.jobs.worker import FrameWorker, LoopFrame
from service.schemas.manifest import Plane

_TASKS_PER_THREAD = 2  # one in work, one waiting
_TERMINAL_EVERY_S, _LOG_EVERY_S = 0.2, 30.0

Finished = list[ResultRow] | SkippedFile
"""Rows of one file that belong together, or a file without rows."""


@dataclass(frozen=True, slots=True)
class FrameChoice:
    """Which frames of each file have a row: the selected ones, of a loop perhaps only the best of each plane."""

    selection: Selection = field(default_factory=Selection)
    best: bool = False


class _Step(Protocol):
    """Works on a frame, as `FrameWorker.work` and `FrameWorker.scan` do."""

    def __call__(self, file: SourceFile, index: int, frames: int | None, /) -> ResultRow | SkippedFile | LoopFrame: ...


class _Task(NamedTuple):
    step: _Step
    file: SourceFile
    frame: int
    frames: int | None = None


@dataclass(slots=True)
class _Loop:
    """A loop whose best frames alone get a row."""

    waiting: int  # tasks that have not ended
    scanned: dict[int, LoopFrame] = field(default_factory=dict)
    rows: list[ResultRow] = field(default_factory=list)
    chosen: bool = False
    no_plane: bool = False  # whether the loop shows none

    def best(self, file: SourceFile, count: int, planes: tuple[Plane, ...]) -> list[int]:
        """Return the best frame of each plane; the first frame where the loop shows no plane."""
        reader = CineReader(File(0, file.name, bytes), count, planes)
        for index in sorted(self.scanned):
            reader.add(*self.scanned[index])
        found = sorted({best.frame for best in reader.finish().best})
        self.no_plane = not found
        return found or sorted(self.scanned)[:1]


class _Plan:
    """The tasks that are ready, and those that follow from the results of others."""

    def __init__(self, worker: FrameWorker, choice: FrameChoice, log: ResultLog | None) -> None:
        self.ready: deque[_Task] = deque()
        self._worker, self._choice, self._log = worker, choice, log
        self._loops: dict[SourceFile, _Loop] = {}

    def add(self, file: SourceFile) -> None:
        """Take the next file; the log may have some or all of its rows."""
        log = self._log
        if self._choice.best:
            if log is None or not log.has_file(file.name):
                self.ready.append(_Task(self._worker.scan, file, 0))
        elif log is not None and log.has(file.name, 0):
            self._add_rest(file, log.frame_count(file.name))
        else:
            self.ready.append(_Task(self._worker.work, file, 0))

    def take(self, task: _Task, result: ResultRow | SkippedFile | LoopFrame) -> Iterator[Finished]:
        """Take the result of a task; yield what is complete."""
        if isinstance(result, SkippedFile):
            yield result
        elif isinstance(result, LoopFrame) or (self._choice.best and (result.frames or 1) > 1):
            yield from self._take_of_loop(task, result)
        else:
            yield [result]
            if task.frame == 0:
                self._add_rest(task.file, result.frames)

    def _add_rest(self, file: SourceFile, frames: int | None) -> None:
        log = self._log
        for frame in self._indices(file, frames or 1)[1:]:
            if log is None or not log.has(file.name, frame):
                self.ready.append(_Task(self._worker.work, file, frame, frames))

    def _indices(self, file: SourceFile, frames: int) -> Sequence[int]:
        times = None
        if frames > 1 and self._choice.selection.fps is not None:
            with suppress(Problem):  # the rows say what is wrong with the file
                times = file.times(self._worker.open)
        return self._choice.selection.indices(frames, times)

    def _take_of_loop(self, task: _Task, result: ResultRow | LoopFrame) -> Iterator[Finished]:
        frames = result.result.frame.count if isinstance(result, LoopFrame) else result.frames or 1
        loop = self._loops.get(task.file)
        if loop is None:
            rest = self._indices(task.file, frames)[1:]
            loop = self._loops[task.file] = _Loop(waiting=1 + len(rest))
            self.ready.extend(_Task(self._worker.scan, task.file, frame, frames) for frame in rest)
        loop.waiting -= 1
        if isinstance(result, LoopFrame):
            loop.scanned[task.frame] = result
        else:
            loop.rows.append(result.model_copy(update={"no_plane": loop.no_plane}))
        if not loop.waiting and not loop.chosen:
            loop.chosen = True
            planes = self._worker.pipeline.engine.manifest.planes
            best = loop.best(task.file, frames, planes) if loop.scanned else []
            loop.waiting, loop.scanned = len(best), {}
            self.ready.extend(_Task(self._worker.work, task.file, frame, frames) for frame in best)
        if not loop.waiting:
            del self._loops[task.file]
            yield sorted(loop.rows, key=lambda row: row.frame)


def run_job(
    files: Iterable[SourceFile],
    worker: FrameWorker,
    threads: int,
    log: ResultLog | None = None,
    choice: FrameChoice | None = None,
) -> Iterator[Finished]:
    """Process every chosen frame that the log does not have, `threads` at a time, and yield what is complete.

    The first frame of a file tells how many frames follow. They are processed before the next file is opened, so only
    a few files are open at any time.
    """
    waiting = iter(files)
    plan = _Plan(worker, choice or FrameChoice(), log)
    running: dict[Future[ResultRow | SkippedFile | LoopFrame], _Task] = {}
    with ThreadPoolExecutor(threads, thread_name_prefix="job") as pool:
        try:
            while True:
                # Keep every thread supplied, but take no file from the walk before there is room for it.
                while len(running) < _TASKS_PER_THREAD * threads:
                    if plan.ready:
                        task = plan.ready.popleft()
                        running[pool.submit(task.step, task.file, task.frame, task.frames)] = task
                    elif (file := next(waiting, None)) is None:
                        break
                    else:
                        plan.add(file)
                if not running:
                    return
                # Only the caller's thread stores rows: it needs no lock, and each row is whole.
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    yield from plan.take(running.pop(future), future.result())
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


class JobProgress:
    """A bar of tqdm over `total` files or shards.

    Where the stream is not a terminal, it shows a line every 30 s if `log` is true, and nothing otherwise.
    """

    def __init__(self, total: int, unit: str, *, log: bool = False, stream: TextIO | None = None) -> None:
        stream = stream or sys.stderr
        terminal = stream.isatty()
        every_s = _TERMINAL_EVERY_S if terminal else _LOG_EVERY_S
        self._bar = tqdm(total=total, unit=unit, file=stream, disable=not (terminal or log), mininterval=every_s)
        self._frames = 0

    def close(self) -> None:
        """Show the last state and end the line."""
        self._bar.close()

    def add(self, units: int, frames: int) -> None:
        """Count finished files or shards, and finished frames."""
        self._frames += frames
        rate = self._frames / max(self._bar.format_dict["elapsed"], 1e-6)
        self._bar.set_postfix_str(f"{self._frames} frames, {rate:.1f} frames/s", refresh=False)
        self._bar.update(units)
