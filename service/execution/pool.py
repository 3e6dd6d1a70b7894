"""The worker threads that decode, run the model and draw, so that the event loop never blocks."""

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from time import perf_counter
from typing import Generic, ParamSpec, Protocol, TypeVar

from service.execution.cpu_budget import CpuBudget
from service.execution.work import Work, WorkStopped, current_work

P = ParamSpec("P")
T = TypeVar("T")


class _Runnable(Protocol):
    """What the threads see of a job, whatever its result."""

    def run(self) -> None: ...


class _Job(Generic[T]):
    """A function for one thread, and the future that awaits its result on the event loop."""

    def __init__(self, function: Callable[[], T]) -> None:
        self.work: Work = current_work()
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[T] = self.loop.create_future()
        self._function = function
        self._context = copy_context()  # carries the current work into the thread
        self._submitted = perf_counter()

    def run(self) -> None:
        """Call the function in the calling thread and hand the result to the event loop."""
        self.work.stages.append(("queue", perf_counter() - self._submitted))
        try:
            self.work.check()
            result = self._context.run(self._function)
        except BaseException as error:  # every exception belongs to the coroutine that awaits the job
            self._settle(partial(self.fail, error))
        else:
            self._settle(partial(self._succeed, result))
        # The error's traceback refers to this frame. Without `del`, the job, its error and the upload would keep one
        # another in memory.
        del self

    def fail(self, error: BaseException) -> None:
        """Raise `error` in the coroutine that awaits the job."""
        if not self.future.done():
            self.future.set_exception(error)

    def _succeed(self, result: T) -> None:
        if not self.future.done():
            self.future.set_result(result)

    def _settle(self, settle: Callable[[], None]) -> None:
        try:
            self.loop.call_soon_threadsafe(settle)
        except RuntimeError:  # the loop is closed: no coroutine awaits the job
            return


class WorkerPool:
    """As many threads as cores are granted; each processes one frame from bytes to answer.

    Decoding, ONNX Runtime and encoding release Python's lock, so the threads run in parallel. The pool has its own
    queue instead of an executor's, because a job that nobody awaits any more must leave the queue with its upload.
    """

    def __init__(self, cpu_budget: CpuBudget) -> None:
        self.cpu_budget = cpu_budget
        self._waiting: deque[_Runnable] = deque()
        self._busy = 0
        self._closing = False
        self._changed = threading.Condition()  # guards the three attributes above
        # Daemon threads, so that the process can exit on a second signal while a worker is still busy.
        self._threads = [
            threading.Thread(target=self._serve, name=f"worker_{number}", daemon=True)
            for number in range(cpu_budget.count)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def waiting(self) -> int:
        """The number of jobs in the queue."""
        return len(self._waiting)

    @property
    def busy(self) -> int:
        """The number of threads that run a job."""
        return self._busy

    def is_alone(self) -> bool:
        """Return whether the calling job is the only one; the other cores are idle then."""
        return self._busy == 1 and not self._waiting

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Await `function(*args, **kwargs)`, called in one of the threads.

        Raises
        ------
        WorkStopped
            The current work was stopped. A waiting job leaves the queue; the result of a running one is dropped.
        """
        job = _Job(partial(function, *args, **kwargs))
        job.work.check()
        with job.work.on_stop(partial(self._abandon, job)):
            self._submit(job)
            try:
                result = await job.future
            finally:
                self._forget(job)  # also when the awaiting task is canceled
                del job  # see `_Job.run`
        return result

    def close(self) -> None:
        """Finish every running and waiting job, then end the threads."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _submit(self, job: _Runnable) -> None:
        with self._changed:
            if self._closing:
                raise RuntimeError("the pool is closed")
            self._waiting.append(job)
            self._changed.notify()

    def _abandon(self, job: _Job[T], stopped: WorkStopped) -> None:
        self._forget(job)
        job.fail(stopped)

    def _forget(self, job: _Runnable) -> None:
        with self._changed:
            if job in self._waiting:
                self._waiting.remove(job)

    def _serve(self) -> None:
        """Run jobs until the pool closes; the body of each thread."""
        while (job := self._next()) is not None:
            job.run()
            del job  # free the job and its upload before the wait for the next one
            with self._changed:
                self._busy -= 1

    def _next(self) -> _Runnable | None:
        """Wait for the next job and count this thread as busy; None when the pool closes and the queue is empty."""
        with self._changed:
            while not self._waiting:
                if self._closing:
                    return None
                self._changed.wait()
            self._busy += 1
            return self._waiting.popleft()
