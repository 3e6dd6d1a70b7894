"""Keep freed memory in the process between training steps."""

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4  # parameters of mallopt, from glibc's malloc.h


def keep_freed_memory() -> None:
    """Make glibc keep what this process frees; on other systems, do nothing.

    A step frees about a hundred feature maps of many megabytes. By default glibc returns each to the kernel, and the
    next step faults all of their pages in again, zeroed, which takes a good part of a step on a CPU. The price: the
    process never becomes smaller than it was at its largest.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform.startswith("linux") else None
    if mallopt is not None:
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
        mallopt(_M_TOP_PAD, 64 * 2**20)  # bytes
