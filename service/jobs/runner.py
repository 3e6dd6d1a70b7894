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
    waiting = iter(files)
    ready: deque[_Task] = deque()
    running: dict[Future[ResultRow], _Task] = {}

    def add_rest(file: SourceFile, frames: int | None) -> None:
        rest = range(1, frames or 1)
        ready.extend(_Task(file, frame, frames) for frame in rest if not sink.has(file.name, frame))

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
                    elif sink.has(file.name, 0):
                        add_rest(file, sink.frame_count(file.name))
                    else:
                        ready.append(_Task(file, 0, None))
                if not running:
                    return
                # Only this thread writes: sinks need no lock, and each row is whole.
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    task, row = running.pop(future), future.result()
                    sink.write(row)
                    if task.frame == 0:
                        add_rest(task.file, row.frames)
                    on_row(row)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
