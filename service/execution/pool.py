"""The worker threads that decode, run the model and draw, so that the event loop never blocks."""

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import copy_context
from functools import partial
from time import perf_counter
from typing import Any, Generic, ParamSpec, TypeVar

from service.errors import Overloaded
from service.execution.cpu_budget import CpuBudget
from service.execution.work import Work, WorkStopped, current_work

P = ParamSpec("P")
T = TypeVar("T")


class _Job(Generic[T]):
    """A function for one thread, and the future that awaits its result on the event loop."""

    def __init__(self, function: Callable[[], T]) -> None:
        self.work = current_work()
        self.future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._function = function
        self._context = copy_context()  # carries the current work into the thread
        self._submitted = perf_counter()

    def run(self) -> None:
        """Call the function in the calling thread and hand the result to the event loop."""
        self.work.stages.append(("queue", perf_counter() - self._submitted))
        settle: Callable[[], None]
        try:
            self.work.check()
            settle = partial(self.future.set_result, self._context.run(self._function))
        except BaseException as error:  # every exception belongs to the coroutine that awaits the job
            settle = partial(self.future.set_exception, error)
        with suppress(RuntimeError):  # the loop is closed: no coroutine awaits the job
            self.future.get_loop().call_soon_threadsafe(self.settle, settle)
        # The error's traceback refers to this frame. Without `del`, the job, its error and the upload would keep one
        # another in memory.
        del self, settle

    def settle(self, settle: Callable[[], None]) -> None:
        """Call `settle`, a setter of the future, unless the job was stopped or canceled before."""
        if not self.future.done():
            settle()


class WorkerPool:
    """Runs as many jobs at once as cores are granted; each processes one frame from bytes to answer.

    ONNX Runtime and encoding release Python's lock, so the threads run in parallel. The pool has its own queue instead
    of an executor's, because a canceled job must leave the queue with its upload, and because the queue is fair: the
    next job is that of the request with the fewest jobs at work.

    There are more threads than cores. A thread that waits for a slow decoder steps aside, and another one uses its
    core. A request may have as many slow decoders as there are cores, and starts no other job meanwhile.
    """

    def __init__(self, cpu_budget: CpuBudget) -> None:
        self.cpu_budget = cpu_budget
        self.busy = 0  # threads that run a job and have not stepped aside
        self._waiting: list[_Job[Any]] = []
        self._working: Counter[Work] = Counter()  # jobs of each request, including those that have stepped aside
        self._aside: Counter[Work] = Counter()
        self._returning = 0  # threads whose decoder is done and that wait for a core
        self._closing = False
        self._changed = threading.Condition()  # guards the attributes above
        self._current = threading.local()  # `job`: what the thread runs
        self._most_aside = slow_decoders(cpu_budget.count)
        # Daemon threads, so that the process can exit on a second signal while a worker is still busy.
        self._threads = [
            threading.Thread(target=self._serve, name=f"worker_{number}", daemon=True)
            for number in range(cpu_budget.count + self._most_aside)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def waiting(self) -> int:
        """The number of jobs in the queue."""
        return len(self._waiting)

    def is_alone(self) -> bool:
        """Return whether the calling job is the only one; the other cores are idle then."""
        return self.busy == 1 and not self._waiting

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Await `function(*args, **kwargs)`, called in one of the threads.

        Raises
        ------
        WorkStopped
            The current work was stopped. A waiting job leaves the queue; the result of a running one is dropped.
        """
        job = _Job(partial(function, *args, **kwargs))
        job.work.check()
        job.work.workers = self
        with job.work.on_stop(partial(self._abandon, job)):
            with self._changed:
                if self._closing:
                    raise RuntimeError("the pool is closed")
                self._waiting.append(job)
                if self.busy + self._returning < self.cpu_budget.count:  # else a thread that ends its job takes it
                    self._changed.notify()
            try:
                return await job.future
            finally:
                self._forget(job)  # also when the awaiting task is canceled
                del job  # see `_Job.run`

    @contextmanager
    def step_aside(self) -> Iterator[None]:
        """Return a context in which the calling job needs no core, so that another one may start.

        Raises what `check_room` raises: slow files must never hold all workers.
        """
        job: _Job[Any] = self._current.job
        with self._changed:
            self.check_room()
            self.busy -= 1
            self._aside[job.work] += 1
            self._changed.notify_all()
        try:
            yield
        finally:
            self._return(job.work)

    def check_room(self) -> None:
        """Raise Overloaded where no further job may step aside."""
        if self._aside.total() == self._most_aside:
            raise Overloaded("The service is decoding as many slow files as it can.", headers={"Retry-After": "5"})

    def _return(self, work: Work) -> None:
        started = perf_counter()
        with self._changed:
            self._returning += 1
            self._changed.wait_for(lambda: self.busy < self.cpu_budget.count)
            self._returning -= 1
            self.busy += 1
            _count_down(self._aside, work)
        work.stages.append(("queue", perf_counter() - started))

    def close(self) -> None:
        """Finish every running and waiting job, then end the threads."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _abandon(self, job: _Job[T], stopped: WorkStopped) -> None:
        self._forget(job)
        job.settle(partial(job.future.set_exception, stopped))

    def _forget(self, job: _Job[T]) -> None:
        with self._changed, suppress(ValueError):  # a thread has taken the job
            self._waiting.remove(job)

    def _serve(self) -> None:
        """Run jobs until the pool closes; the body of each thread."""
        while (job := self._next()) is not None:
            self._current.job, work = job, job.work
            job.run()
            del job, self._current.job  # free the job and its upload before the wait for the next one
            with self._changed:
                self.busy -= 1
                _count_down(self._working, work)
                # This thread chooses the next job itself. To wake the others costs as much as a small answer.
                if self._returning or self._closing:
                    self._changed.notify_all()

    def _next(self) -> _Job[Any] | None:
        """Wait for the next job and count this thread as busy; None when the pool closes and the queue is empty."""
        with self._changed:
            while (job := self._choose()) is None:
                if self._closing and not self._waiting:
                    return None
                self._changed.wait()
            self._waiting.remove(job)
            self.busy += 1
            self._working[job.work] += 1
            return job

    def _choose(self) -> _Job[Any] | None:
        """Return the job to start now: the oldest of a request with the fewest jobs at work."""
        if self.busy + self._returning >= self.cpu_budget.count:
            return None
        startable = (job for job in self._waiting if not self._is_slow(job.work))
        return min(startable, key=lambda job: self._working[job.work], default=None)

    def _is_slow(self, work: Work) -> bool:
        return self._aside[work] > 0 and self._working[work] >= self.cpu_budget.count


def slow_decoders(workers: int) -> int:
    """Return how many slow decoders may run next to the workers: two requests full of slow files hold no worker."""
    return 2 * workers + 2


def _count_down(counter: Counter[Work], work: Work) -> None:
    counter[work] -= 1
    if not counter[work]:
        del counter[work]
