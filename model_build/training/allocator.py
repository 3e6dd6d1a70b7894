"""Keep freed memory in the process between training steps."""

import ctypes
import sys

# Parameters of mallopt, from glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4
_INT_MAX = 2**31 - 1  # bytes
_TOP_PAD_BYTES = 64 * 2**20


def keep_freed_memory() -> None:
    """Make glibc keep what this process frees; on other systems, do nothing.

    A step frees about a hundred feature maps of many megabytes. By default glibc returns each to the kernel, and the
    next step faults all of their pages in again, zeroed, which takes a good part of a step on a CPU. The price: the
    process never becomes smaller than it was at its largest.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, _INT_MAX)
        mallopt(_M_TOP_PAD, _TOP_PAD_BYTES)
