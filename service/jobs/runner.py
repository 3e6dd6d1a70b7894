"""The runner of every job, which keeps the worker threads busy and yields each finished row, and its progress bar."""

import sys
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import NamedTuple, TextIO

from tqdm import tqdm

from service.jobs.files import SourceFile
from service.jobs.journal import ResultLog
from service.jobs.rows import ResultRow
from service.jobs.worker import FrameWorker

_TASKS_PER_THREAD = 2  # one in work, one waiting
_TERMINAL_EVERY_S, _LOG_EVERY_S = 0.2, 30.0


class _Task(NamedTuple):
    file: SourceFile
    frame: int
    frames: int | None


def run_job(
    files: Iterable[SourceFile], worker: FrameWorker, threads: int, log: ResultLog | None = None
) -> Iterator[ResultRow]:
    """Process every frame that the log does not have, `threads` at a time, and yield its row.

    The first frame of a file tells how many frames follow. They are processed before the next file is opened, so only
    a few files are open at any time.
    """
    waiting = iter(files)
    ready: deque[_Task] = deque()
    running: dict[Future[ResultRow], _Task] = {}

    def add_rest(file: SourceFile, frames: int | None) -> None:
        rest = (frame for frame in range(1, frames or 1) if log is None or not log.has(file.name, frame))
        ready.extend(_Task(file, frame, frames) for frame in rest)

    with ThreadPoolExecutor(threads, thread_name_prefix="job") as pool:
        try:
            while True:
                # Keep every thread supplied, but take no file from the walk before there is room for it.
                while len(running) < _TASKS_PER_THREAD * threads:
                    if ready:
                        task = ready.popleft()
                        running[pool.submit(worker.work, *task)] = task
                    elif (file := next(waiting, None)) is None:
                        break
                    elif log is not None and log.has(file.name, 0):
                        add_rest(file, log.frame_count(file.name))
                    else:
                        ready.append(_Task(file, 0, None))
                if not running:
                    return
                # Only the caller's thread stores rows: it needs no lock, and each row is whole.
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    task, row = running.pop(future), future.result()
                    yield row
                    if task.frame == 0:
                        add_rest(task.file, row.frames)
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
