"""Memory that training frees between one batch and the next, kept for the batch to come."""

import ctypes
import sys

# glibc's malloc.h
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4
_MOST = 2**31 - 1  # bytes; the type is int


def keep_freed_memory() -> None:
    """Have glibc keep what this process frees, where there is glibc; elsewhere nothing happens.

    A step frees some hundred maps of many megabytes. By its defaults glibc hands each back to the kernel, and the next
    step faults all of their pages in again, zeroed, which on a CPU takes a good part of its time. The process then is
    as large at its end as it was at its largest.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_MAX, 0)
        mallopt(_TRIM_THRESHOLD, _MOST)
        mallopt(_TOP_PAD, 64 * 2**20)
