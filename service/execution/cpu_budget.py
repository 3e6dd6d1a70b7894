"""Find out how many cores this process may use: those that the container grants, not those of the host."""

import math
import os
from dataclasses import dataclass
from pathlib import Path

from service.execution.cgroup import cgroup_folders, read_text


@dataclass(frozen=True, slots=True)
class CpuBudget:
    """The number of workers, and what determined it."""

    count: int
    source: str


def cpu_budget(setting: int | None = None, root: Path = Path("/")) -> CpuBudget:
    """Return the number of worker threads to start.

    It is `setting`, the operator's choice; else the smaller of the CPU affinity mask and the CPU quota of the process's
    cgroup (version 1 or 2), a fraction of a core rounded up. `root` holds `/proc` and `/sys`.
    """
    if setting is not None:
        return CpuBudget(setting, "setting")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _quota(root)
    if quota is not None and math.ceil(quota) < cores:
        return CpuBudget(max(1, math.ceil(quota)), f"cgroup quota of {quota:g} cores")
    return CpuBudget(cores, "CPU affinity")


def _quota(root: Path) -> float | None:
    """Return the smallest CPU quota, in cores, of the process's cgroup and its parents; None where none has one."""
    quotas = [quota for folder in cgroup_folders("cpu", root) if (quota := _folder_quota(folder)) is not None]
    return min(quotas, default=None)


def _folder_quota(folder: Path) -> float | None:
    """Return the quota in `cpu.max` (version 2) or in the two `cpu.cfs_*` files (version 1), in cores."""
    words = read_text(folder / "cpu.max").split()
    words = words or [read_text(folder / f"cpu.cfs_{name}_us") for name in ("quota", "period")]
    try:
        quota, period = (float(word) for word in words)
    except ValueError:  # no such file, or the word `max`
        return None
    return quota / period if quota > 0 and period > 0 else None
