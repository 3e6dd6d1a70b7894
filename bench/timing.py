"""How long a piece of work takes."""

import time
from collections.abc import Callable


def seconds(work: Callable[[], object]) -> float:
    """Do the work once; the wall-clock time that it took."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
