"""Run functions that may never return, each for a limited time."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from queue import SimpleQueue
from typing import Any, TypeVar

from service.execution.work import StopReason, Work, work_context

T = TypeVar("T")

_STOP_WITHIN_S = 2.0  # work that was stopped usually ends at once


class TimeLimitError(Exception):
    """A function did not return in time."""


class TimeLimit:
    """Runs one function at a time in a thread, as work that is stopped after `limit_s` seconds.

    A thread cannot be ended from outside. Where a function does not end although its work was stopped, it is left
    behind: `stuck` is true, and no further function runs until it has ended. It never keeps the process alive.
    """

    def __init__(self, limit_s: float) -> None:
        self.limit_s = limit_s
        self._work = Work()
        self._outcome: Future[Any] | None = None  # of the function that runs, or that was left behind
        # One thread for all functions: memory that one of them frees is at hand for the next only within a thread.
        self._thread: threading.Thread | None = None
        self._calls = SimpleQueue[Callable[[], None] | None]()

    @property
    def stuck(self) -> bool:
        """Whether a function runs. Between calls of `run`, it is one that did not end."""
        return self._outcome is not None and not self._outcome.done()

    def run(self, function: Callable[[], T]) -> T:
        """Return `function()`; raises TimeLimitError after the limit, or while an earlier function is stuck."""
        if self.stuck:
            raise TimeLimitError("an earlier attempt has not ended; restart the service")
        work, outcome = self._work, self._outcome = Work(), Future[T]()

        def call() -> None:
            with work_context(work):
                try:
                    outcome.set_result(function())
                except BaseException as error:  # every exception belongs to the caller
                    outcome.set_exception(error)

        self._calls.put(call)
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name="time_limit", daemon=True)
            self._thread.start()
        wait([outcome], self.limit_s)
        if not outcome.done():
            self._stop_function()
            raise TimeLimitError(f"it takes more than {self.limit_s:g} s")
        self._outcome = None  # it holds the result
        return outcome.result()

    def stop(self) -> None:
        """Stop the function that runs, if any, give it a moment to end, and end the thread."""
        self._stop_function()
        if self._thread is not None:
            self._calls.put(None)
            self._thread = None

    def _stop_function(self) -> None:
        if self._outcome is not None:
            self._work.stop(StopReason.DEADLINE)
            wait([self._outcome], _STOP_WITHIN_S)

    def _serve(self) -> None:
        while (call := self._calls.get()) is not None:
            call()
            del call  # it holds the result until the next one


def run_within(limit_s: float, function: Callable[[], T]) -> T:
    """Return `function()`, which may read a share that hangs; raises TimeLimitError after `limit_s` seconds."""
    limit = TimeLimit(limit_s)
    try:
        return limit.run(function)
    finally:
        limit.stop()
