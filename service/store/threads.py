"""The threads in which the store waits for its database, apart from those that classify."""

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

from service.store.options import unavailable

_THREADS = 4
_MAX_WAITING = 64  # beyond them requests fail at once: the database does not keep up

P = ParamSpec("P")
T = TypeVar("T")


class StoreThreads:
    """Runs functions in threads of the store. The threads start with the first function."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(_THREADS, thread_name_prefix="store")
        self._waiting = 0

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what a function returns, without blocking the event loop. Raises `StoreUnavailable`."""
        if self._waiting >= _MAX_WAITING:
            raise unavailable("The store is too slow.")
        self._waiting += 1
        try:
            call = partial(contextvars.copy_context().run, function, *args, **kwargs)
            return await asyncio.get_running_loop().run_in_executor(self._executor, call)
        finally:
            self._waiting -= 1

    def submit(self, function: Callable[[], None]) -> None:
        """Start a function, and do not wait for it."""
        self._executor.submit(function)

    def close(self) -> None:
        """Wait for the functions in progress; those that wait are not run."""
        self._executor.shutdown(cancel_futures=True)
