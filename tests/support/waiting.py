"""Wait for something that happens in another thread or process."""

import asyncio
import time
from collections.abc import Callable

TIMEOUT_S = 60  # on a machine that is busy with other work


def eventually(true: Callable[[], bool], timeout_s: float = TIMEOUT_S) -> None:
    """Wait until a condition holds; fail where it does not hold within `timeout_s`."""
    deadline, pause_s = time.monotonic() + timeout_s, 0.01
    while not true():
        assert time.monotonic() < deadline, f"not within {timeout_s} s"
        time.sleep(pause_s)
        pause_s = min(1.5 * pause_s, 0.1)  # asking may cost more time than what it waits for


async def until(true: Callable[[], bool], timeout_s: float = TIMEOUT_S) -> None:
    """Wait, while other tasks run, until a condition holds; raise TimeoutError where it does not within `timeout_s`."""
    async with asyncio.timeout(timeout_s):
        while not true():
            await asyncio.sleep(0.005)
