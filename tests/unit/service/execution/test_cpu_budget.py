import os
from pathlib import Path

import pytest

from service.execution.cpu_budget import CpuBudget, cpu_budget


@pytest.fixture(autouse=True)
def eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")


V1 = "sys/fs/cgroup/cpu"
CASES: dict[str, tuple[dict[str, str], CpuBudget]] = {
    "no cgroup at all": ({}, CpuBudget(8, "CPU affinity")),
    "v2 without a quota": (
        {"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "max 100000"},
        CpuBudget(8, "CPU affinity"),
    ),
    "v2 in a container": (
        {"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "200000 100000"},
        CpuBudget(2, "cgroup quota of 2 cores"),
    ),
    "v2, a part of a core is rounded up": (
        {"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "150000 100000"},
        CpuBudget(2, "cgroup quota of 1.5 cores"),
    ),
    "v2, less than a core": (
        {"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "10000 100000"},
        CpuBudget(1, "cgroup quota of 0.1 cores"),
    ),
    "v2, a parent is tighter": (
        {
            "proc/self/cgroup": "0::/a/b",
            "sys/fs/cgroup/a/b/cpu.max": "600000 100000",
            "sys/fs/cgroup/a/cpu.max": "300000 100000",
            "sys/fs/cgroup/cpu.max": "max 100000",
        },
        CpuBudget(3, "cgroup quota of 3 cores"),
    ),
    "v2, more than the cores there are": (
        {"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "6400000 100000"},
        CpuBudget(8, "CPU affinity"),
    ),
    "v1": (
        {
            "proc/self/cgroup": "4:memory:/x\n3:cpu,cpuacct:/x\n0::/",
            f"{V1}/x/cpu.cfs_quota_us": "400000",
            f"{V1}/x/cpu.cfs_period_us": "100000",
        },
        CpuBudget(4, "cgroup quota of 4 cores"),
    ),
    "v1 in a container, where the path is the host's": (
        {
            "proc/self/cgroup": "3:cpu,cpuacct:/docker/0123",
            f"{V1}/cpu.cfs_quota_us": "250000",
            f"{V1}/cpu.cfs_period_us": "50000",
        },
        CpuBudget(5, "cgroup quota of 5 cores"),
    ),
    "v1 under the name of both controllers": (
        {
            "proc/self/cgroup": "3:cpu,cpuacct:/",
            f"{V1},cpuacct/cpu.cfs_quota_us": "100000",
            f"{V1},cpuacct/cpu.cfs_period_us": "100000",
        },
        CpuBudget(1, "cgroup quota of 1 cores"),
    ),
    "v1 without a quota": (
        {"proc/self/cgroup": "1:cpu:/", f"{V1}/cpu.cfs_quota_us": "-1", f"{V1}/cpu.cfs_period_us": "100000"},
        CpuBudget(8, "CPU affinity"),
    ),
}


@pytest.mark.parametrize(("files", "width"), CASES.values(), ids=CASES.keys())
def test_quota(tmp_path: Path, files: dict[str, str], width: CpuBudget) -> None:
    write(tmp_path, files)
    assert cpu_budget(root=tmp_path) == width


def test_the_affinity_can_be_below_the_quota(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, CASES["v1"][0])
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 5, 7})
    assert cpu_budget(root=tmp_path) == CpuBudget(3, "CPU affinity")


def test_the_setting_overrides_the_machine(tmp_path: Path) -> None:
    write(tmp_path, CASES["v1"][0])
    assert cpu_budget(12, tmp_path) == CpuBudget(12, "setting")


def test_on_this_machine() -> None:
    assert cpu_budget().count >= 1
