"""Wait for something that happens in another thread or process."""

import time
from collections.abc import Callable

TIMEOUT_S = 60  # on a machine that is busy with other work


def eventually(true: Callable[[], bool], timeout_s: float = TIMEOUT_S) -> None:
    """Wait until a condition holds; fail where it does not hold within `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline, f"not within {timeout_s} s"
        time.sleep(0.01)
