"""The runner of every job: it keeps the worker threads busy and yields each finished row."""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import NamedTuple

from service.jobs.files import SourceFile
from service.jobs.journal import ResultLog
from service.jobs.rows import ResultRow
from service.jobs.worker import FrameWorker

_TASKS_PER_THREAD = 2  # one in work, one waiting


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
