"""Measure how long a piece of work takes, and summarize what was measured."""

import statistics
import time
from collections.abc import Callable, Sequence


def seconds(work: Callable[[], object]) -> float:
    """Run `work` once and return the wall-clock seconds that it took."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def median_and_range(values: Sequence[float], digits: int = 3, note: str = "") -> str:
    """Format values as `median (lowest to highest note)`."""
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f}{note})"
