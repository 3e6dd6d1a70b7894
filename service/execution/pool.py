"""The threads that decode, infer and draw, so that the event loop never does."""

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from time import perf_counter
from typing import Any, ParamSpec, TypeVar

from service.execution.cpu_budget import CpuBudget
from service.execution.work import Work, WorkStopped, current_work

P = ParamSpec("P")
T = TypeVar("T")


class _Job:
    """Work for one thread, and the future that awaits it on the event loop."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self.run: Work = current_work()
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[Any] = self.loop.create_future()
        self._work = work
        self._context = copy_context()
        self._submitted = perf_counter()

    def carry_out(self) -> None:
        """Work, in the thread that calls."""
        self.run.stages.append(("queue", perf_counter() - self._submitted))
        try:
            self.run.check()
            result = self._context.run(self._work)
        except BaseException as error:  # whatever it is, it belongs to the one that awaits
            self._settle(partial(self.fail, error))
        else:
            self._settle(partial(self._succeed, result))
        del self  # else an error's trace would hold the job that holds the error, and the upload with them

    def fail(self, error: BaseException) -> None:
        """Let whoever awaits go on with an error."""
        if not self.future.done():
            self.future.set_exception(error)

    def _succeed(self, result: object) -> None:
        if not self.future.done():
            self.future.set_result(result)

    def _settle(self, settle: Callable[[], None]) -> None:
        try:
            self.loop.call_soon_threadsafe(settle)
        except RuntimeError:  # the loop is closed: nobody awaits
            return


class WorkerPool:
    """As many threads as cores are granted; each carries one frame from bytes to answer.

    Decoding, ONNX Runtime and encoding all release Python's lock, so that the threads truly run side by side. Work that
    waits is a queue of its own and not an executor's, so that work which nobody awaits any more leaves no trace in it.
    """

    def __init__(self, width: CpuBudget) -> None:
        self.width = width
        self._waiting: deque[_Job] = deque()
        self._busy = 0
        self._closing = False
        self._changed = threading.Condition()
        # Daemons, so that a process that is told to end twice ends, whatever a worker is still at.
        self._threads = [
            threading.Thread(target=self._serve, name=f"worker_{each}", daemon=True) for each in range(width.count)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def waiting(self) -> int:
        """Pieces of work that wait for a thread."""
        return len(self._waiting)

    @property
    def busy(self) -> int:
        """Threads at work."""
        return self._busy

    def is_alone(self) -> bool:
        """Whether the work that asks is all there is: the other cores idle then."""
        return self._busy == 1 and not self._waiting

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Await `work(*args, **kwargs)` done in one of the threads.

        Raises
        ------
        Stopped
            The current run was stopped. What waited is dropped; what was at work ends soon, and unheard.
        """
        job = _Job(partial(work, *args, **kwargs))
        job.run.check()
        with job.run.telling(partial(self._abandon, job)):
            self._submit(job)
            try:
                result: T = await job.future
            finally:
                self._forget(job)  # cancelled, for example
                del job  # as above
        return result

    def close(self) -> None:
        """End the threads once all that was begun or waits has finished."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _submit(self, job: _Job) -> None:
        with self._changed:
            if self._closing:
                raise RuntimeError("the pool is closed")
            self._waiting.append(job)
            self._changed.notify()

    def _abandon(self, job: _Job, stopped: WorkStopped) -> None:
        self._forget(job)
        job.fail(stopped)

    def _forget(self, job: _Job) -> None:
        with self._changed:
            if job in self._waiting:
                self._waiting.remove(job)

    def _serve(self) -> None:
        while (job := self._next()) is not None:
            job.carry_out()
            del job  # not kept, with its upload, until the next one comes
            with self._changed:
                self._busy -= 1

    def _next(self) -> _Job | None:
        with self._changed:
            while not self._waiting:
                if self._closing:
                    return None
                self._changed.wait()
            self._busy += 1
            return self._waiting.popleft()
