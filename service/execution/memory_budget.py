"""Compare the memory that the settings may need with the memory that the container grants."""

from dataclasses import dataclass, fields
from pathlib import Path

from service.execution.cgroup import cgroup_folders, read_text
from service.execution.decoders.limits import ALLOWANCE, KEPT, LARGE, DecoderLimits
from service.execution.pool import slow_decoders

MIB = 2**20

# Measured with the shipped model, see docs/how-to/container.md.
BASE_BYTES = 256 * MIB  # of the process with a warmed-up model: 177 MiB, after the first DICOM result 289 MiB
RELOAD_BYTES = 192 * MIB  # while a second model is loaded next to the first, and kept for the next reload: 173 MiB
WORKER_BYTES = 64 * MIB  # of each worker: its runs of the model, and what it keeps of large frames
PIXEL_BYTES = 16  # to explain and draw a frame, by its pixels: 13.6
DECODER_BYTES = 16 * MIB + KEPT  # of an idle decoder: 11 to 16 MiB of its own, and what it may keep


class MemoryLimitError(Exception):
    """Not even one frame of the maximum size fits into the container's memory."""


@dataclass(frozen=True, slots=True)
class MemoryNeed:
    """The most memory that the service may need at once, in bytes, by part."""

    base: int
    reload: int
    workers: int
    uploads: int  # admitted, in transfer, waiting or in work
    members: int  # of archives and forms: one of the maximum size, inflated or copied by each worker for its decoder
    frames: int  # one of the maximum size in each worker
    decoders: int  # the processes in which uploads are decoded, one of them with the largest file

    @property
    def total(self) -> int:
        """The sum of the parts."""
        return sum(getattr(self, part.name) for part in fields(self))


def memory_need(workers: int, upload_bytes: int, decoder: DecoderLimits) -> MemoryNeed:
    """Return the most memory that the service may need at once.

    Parameters
    ----------
    workers
        Number of worker threads, each with a frame.
    upload_bytes
        Maximum size of all uploads in memory.
    decoder
        The limits on each decoder.
    """
    decoders = workers + slow_decoders(workers)
    return MemoryNeed(
        base=BASE_BYTES,
        reload=RELOAD_BYTES,
        workers=WORKER_BYTES * workers,
        uploads=upload_bytes,
        members=decoder.max_bytes * workers,
        frames=PIXEL_BYTES * decoder.max_pixels * workers,
        decoders=decoder.memory + (decoders - 1) * (ALLOWANCE + LARGE) + decoders * DECODER_BYTES,
    )


def least_memory(upload_bytes: int, decoder: DecoderLimits) -> int:
    """Return the memory for a single upload of the maximum size with a single frame of the maximum size."""
    return BASE_BYTES + upload_bytes + DECODER_BYTES + max(decoder.memory, PIXEL_BYTES * decoder.max_pixels)


def memory_limit(root: Path = Path("/")) -> int | None:
    """Return the smallest memory limit, in bytes, of the process's cgroup and its parents; None where none has one."""
    granted = [
        int(text)
        for folder in cgroup_folders("memory", root)
        for name in ("memory.max", "memory.limit_in_bytes")  # versions 2 and 1
        if (text := read_text(folder / name)).isdecimal()
    ]
    # Version 1 writes "no limit" as the largest number of whole pages.
    return min((limit for limit in granted if limit < 1 << 60), default=None)


def check_memory(need: MemoryNeed, least: int, limit: int | None) -> str | None:
    """Return a warning where the service may need more than the limit, in bytes; None where it may not, or has none.

    Raises MemoryLimitError where not even `least` fits, a single upload and frame of the maximum size.
    """
    if limit is None or max(need.total, least) <= limit:
        return None
    advice = "Raise the container's limit, or lower FETAL_PLANES_MAX_FRAME_PIXELS, FETAL_PLANES_MAX_UPLOAD_BYTES"
    if least > limit:
        raise MemoryLimitError(
            f"one frame of the maximum size needs {_mib(least)} MiB of memory; the container has {_mib(limit)}. "
            + advice
        )
    return (
        f"the settings allow the use of {_mib(need.total)} MiB of memory; the container has {_mib(limit)}, "
        f"so it may be killed under load. {advice}, FETAL_PLANES_MAX_HELD_BYTES or FETAL_PLANES_WORKERS"
    )


def _mib(count: int) -> int:
    return -(-count // MIB)
