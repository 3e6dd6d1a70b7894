"""The runner of every job: it keeps the worker threads busy and hands each finished row to the sink."""

from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import NamedTuple

from service.jobs.files import SourceFile
from service.jobs.rows import ResultRow, Sink
from service.jobs.worker import FrameWorker

_TASKS_PER_THREAD = 2  # one in work, one waiting


class _Task(NamedTuple):
    file: SourceFile
    frame: int
    frames: int | None


def run_job(
    files: Iterable[SourceFile],
    worker: FrameWorker,
    sink: Sink,
    threads: int,
    on_row: Callable[[ResultRow], None] = lambda _: None,
) -> None:
    """Process every frame that the sink does not have yet, `threads` at a time; call `on_row` for each written row.

    The first frame of a file tells how many frames follow. They are processed before the next file is opened, so only
    a few files are open at any time.
    """
    tasks = _TaskQueue(files, sink)
    with ThreadPoolExecutor(threads, thread_name_prefix="job") as pool:
        running: dict[Future[ResultRow], _Task] = {}
        try:
            while True:
                # Keep every thread supplied, but take no file from the walk before there is room for it.
                while len(running) < _TASKS_PER_THREAD * threads and (task := tasks.next()) is not None:
                    running[pool.submit(worker.work, *task)] = task
                if not running:
                    return
                # Only this thread writes: sinks need no lock, and each row is whole.
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    task, row = running.pop(future), future.result()
                    sink.write(row)
                    tasks.add_following(task, row)
                    on_row(row)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


class _TaskQueue:
    """The frames to process, in order; frames that the sink has are left out."""

    def __init__(self, files: Iterable[SourceFile], sink: Sink) -> None:
        self._files = iter(files)
        self._sink = sink
        self._ready: deque[_Task] = deque()

    def next(self) -> _Task | None:
        """Return the next task; None at the end, or while the first frames of the last files are still in work."""
        while not self._ready and (file := next(self._files, None)) is not None:
            if self._sink.has(file.name, 0):
                self._add_rest(file, self._sink.frame_count(file.name))
            else:
                self._ready.append(_Task(file, 0, None))
        return self._ready.popleft() if self._ready else None

    def add_following(self, task: _Task, row: ResultRow) -> None:
        """Add the other frames of a file when its first frame is done."""
        if task.frame == 0:
            self._add_rest(task.file, row.frames)

    def _add_rest(self, file: SourceFile, frames: int | None) -> None:
        rest = range(1, frames or 1)
        self._ready.extend(_Task(file, frame, frames) for frame in rest if not self._sink.has(file.name, frame))
