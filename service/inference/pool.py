"""The threads that decode, infer and draw, so that the event loop never does."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

from service.inference.cpus import Width

P = ParamSpec("P")
T = TypeVar("T")


class WorkerPool:
    """As many threads as cores are granted; each carries one frame from bytes to answer.

    Decoding, ONNX Runtime and encoding all release Python's lock, so that the threads truly run side by side.
    """

    def __init__(self, width: Width) -> None:
        self.width = width
        self._threads = ThreadPoolExecutor(width.count, thread_name_prefix="worker")

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Await `work(*args, **kwargs)` done in one of the threads."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, partial(work, *args, **kwargs))

    def close(self) -> None:
        """End the threads once what runs has finished."""
        self._threads.shutdown(wait=True, cancel_futures=True)
