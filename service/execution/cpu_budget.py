"""How many cores this process may use: what the container grants, not what the host has."""

import math
import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class CpuBudget:
    """How many runs go side by side, and what decided it."""

    count: int
    source: str


def cpu_budget(setting: int | None = None, root: Path = Path("/")) -> CpuBudget:
    """Choose the worker pool's width.

    Parameters
    ----------
    setting
        The operator's choice; None to find it out.
    root
        Where `/proc` and `/sys` are.

    Returns
    -------
    CpuBudget
        The operator's choice; else the fewer of the cores in this process's affinity mask and the CPU quota of its
        cgroup (version 1 or 2), a fraction of a core rounded up.
    """
    if setting is not None:
        return CpuBudget(setting, "setting")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _quota(root)
    if quota is not None and math.ceil(quota) < cores:
        return CpuBudget(max(1, math.ceil(quota)), f"cgroup quota of {quota:g} cores")
    return CpuBudget(cores, "CPU affinity")


def _quota(root: Path) -> float | None:
    """The tightest CPU quota, in cores, of this process's cgroup and those above it; None without any."""
    mount = root / "sys/fs/cgroup"
    found: list[float] = []
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:
            found += _quotas(mount, path)
        elif "cpu" in controllers.split(","):
            found += _quotas(mount / "cpu", path) or _quotas(mount / controllers, path)
    return min(found, default=None)


def _quotas(mount: Path, path: str) -> list[float]:
    # In a container the path may be the host's, of which only the mount's own root is seen here: absent folders
    # have no quota.
    below = Path(path.lstrip("/"))
    folders = [mount / part for part in (below, *below.parents)]
    return [quota for folder in folders if (quota := _quota_of(folder)) is not None]


def _quota_of(folder: Path) -> float | None:
    """Read `cpu.max` of version 2, or the pair of files of version 1."""
    words = _text(folder / "cpu.max").split()
    words = words or [_text(folder / f"cpu.cfs_{name}_us") for name in ("quota", "period")]
    try:
        quota, period = (float(word) for word in words)
    except ValueError:  # absent, or the word `max`
        return None
    return quota / period if quota > 0 and period > 0 else None


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
