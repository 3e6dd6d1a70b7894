"""Keeps the workers busy with frames, and writes down what they find."""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Generic, NamedTuple, Protocol, TypeVar

from service.jobs.files import Upload

_AHEAD = 2  # frames given out for each thread: one at work, one that waits for it


class Done(Protocol):
    """What has become of a frame."""

    @property
    def frames(self) -> int | None: ...  # noqa: D102


R = TypeVar("R", bound=Done)
W = TypeVar("W", bound=Done, contravariant=True)
M = TypeVar("M", bound=Done, covariant=True)


class FrameWorker(Protocol[M]):
    """Works on a frame; never raises."""

    def work(self, upload: Upload, index: int, frames: int | None) -> M: ...  # noqa: D102


class JobLog(Protocol[W]):
    """What has been done, and takes what is done now."""

    def frames_of(self, file: str) -> int | None: ...  # noqa: D102

    def has(self, file: str, frame: int) -> bool: ...  # noqa: D102

    def write(self, row: W) -> None: ...  # noqa: D102


class _Task(NamedTuple):
    upload: Upload
    frame: int
    frames: int | None


def run_job(uploads: Iterable[Upload], worker: FrameWorker[R], log: JobLog[R], threads: int) -> Iterator[R]:
    """Work through every frame that the log does not have, `threads` at a time, and yield each row once it is written.

    How many frames a file has is known once the first is done; the others follow before the next file is opened, so
    that only a few files are open at any time.
    """
    tasks: _Tasks[R] = _Tasks(uploads, log)
    with ThreadPoolExecutor(threads, thread_name_prefix="process") as pool:
        running: dict[Future[R], _Task] = {}
        try:
            while True:
                while len(running) < _AHEAD * threads and (task := tasks.next()) is not None:
                    running[pool.submit(worker.work, *task)] = task
                if not running:
                    return
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    task, row = running.pop(future), future.result()
                    log.write(row)
                    tasks.learn(task, row)
                    yield row
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


class _Tasks(Generic[R]):
    def __init__(self, uploads: Iterable[Upload], log: JobLog[R]) -> None:
        self._uploads = iter(uploads)
        self._log = log
        self._ready: deque[_Task] = deque()

    def next(self) -> _Task | None:
        while not self._ready:
            upload = next(self._uploads, None)
            if upload is None:
                return None
            if not self._log.has(upload.name, 0):
                self._ready.append(_Task(upload, 0, None))
            else:
                self._add_rest(upload, self._log.frames_of(upload.name))
        return self._ready.popleft()

    def learn(self, task: _Task, row: R) -> None:
        if task.frame == 0:
            self._add_rest(task.upload, row.frames)

    def _add_rest(self, upload: Upload, frames: int | None) -> None:
        rest = range(1, frames or 1)
        self._ready.extend(_Task(upload, frame, frames) for frame in rest if not self._log.has(upload.name, frame))
