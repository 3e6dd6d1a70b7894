"""Run functions that may never return, each for a limited time."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from service.execution.work import StopReason, Work, work_context

T = TypeVar("T")

_STOP_WITHIN_S = 2.0  # work that was stopped usually ends at once


class TimeLimitError(Exception):
    """A function did not return in time."""


class TimeLimit:
    """Runs one function at a time, as work that is stopped after `limit_s` seconds.

    A thread cannot be ended from outside. Where a function does not end although its work was stopped, its thread is
    left behind: `stuck` is true, and no further function runs until it has ended. It never keeps the process alive.
    """

    def __init__(self, limit_s: float) -> None:
        self.limit_s = limit_s
        self._work = Work()
        self._thread: threading.Thread | None = None

    @property
    def stuck(self) -> bool:
        """Whether a function runs. Between calls of `run`, it is one that did not end."""
        return self._thread is not None and self._thread.is_alive()

    def stop(self) -> None:
        """Stop the function that runs, if any, and give it a moment to end."""
        if self._thread is not None:
            self._work.stop(StopReason.DEADLINE)
            self._thread.join(_STOP_WITHIN_S)

    def run(self, function: Callable[[], T]) -> T:
        """Return `function()`; raises TimeLimitError after the limit, or while an earlier function is stuck."""
        if self.stuck:
            raise TimeLimitError("an earlier attempt has not ended; restart the service")
        self._work, outcome = Work(), Future[T]()

        def body() -> None:
            with work_context(self._work):
                try:
                    outcome.set_result(function())
                except BaseException as error:  # every exception belongs to the caller
                    outcome.set_exception(error)

        self._thread = threading.Thread(target=body, name="time_limit", daemon=True)
        self._thread.start()
        self._thread.join(self.limit_s)
        if not outcome.done():
            self.stop()
            raise TimeLimitError(f"it takes more than {self.limit_s:g} s")
        return outcome.result()
