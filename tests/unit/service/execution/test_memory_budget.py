from dataclasses import astuple
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.execution.decoders.limits import ALLOWANCE, LARGE, DecoderLimits
from service.execution.memory_budget import (
    MIB,
    PIXEL_BYTES,
    MemoryLimitError,
    check_memory,
    least_memory,
    memory_limit,
    memory_need,
)
from service.execution.pool import slow_decoders

V1 = "sys/fs/cgroup/memory"
UNLIMITED_V1 = "9223372036854771712"

CASES: dict[str, tuple[dict[str, str], int | None]] = {
    "no cgroup at all": ({}, None),
    "v2 without a limit": ({"proc/self/cgroup": "0::/", "sys/fs/cgroup/memory.max": "max"}, None),
    "v2 in a container": ({"proc/self/cgroup": "0::/", "sys/fs/cgroup/memory.max": "2147483648"}, 2048 * MIB),
    "v2, a parent is tighter": (
        {
            "proc/self/cgroup": "0::/pod/container",
            "sys/fs/cgroup/pod/container/memory.max": "max",
            "sys/fs/cgroup/pod/memory.max": "1073741824",
            "sys/fs/cgroup/memory.max": "4294967296",
        },
        1024 * MIB,
    ),
    "v1": (
        {
            "proc/self/cgroup": "4:memory:/x\n3:cpu,cpuacct:/x\n0::/",
            f"{V1}/x/memory.limit_in_bytes": "1073741824",
            f"{V1}/memory.limit_in_bytes": UNLIMITED_V1,
        },
        1024 * MIB,
    ),
    "v1 in a container, where the path is the host's": (
        {"proc/self/cgroup": "4:memory:/docker/0123", f"{V1}/memory.limit_in_bytes": "536870912"},
        512 * MIB,
    ),
    "v1 without a limit": (
        {"proc/self/cgroup": "4:memory:/", f"{V1}/memory.limit_in_bytes": UNLIMITED_V1},
        None,
    ),
    "another controller's file": ({"proc/self/cgroup": "4:pids:/", f"{V1}/memory.limit_in_bytes": "1"}, None),
}


@pytest.mark.parametrize(("files", "limit"), CASES.values(), ids=CASES.keys())
def test_the_limit_of_the_cgroup(tmp_path: Path, files: dict[str, str], limit: int | None) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"{text}\n")
    assert memory_limit(tmp_path) == limit


COUNTS = st.integers(1, 64)
SIZES = st.integers(1, 2**32)


@given(COUNTS, SIZES, SIZES, SIZES)
def test_every_part_counts(workers: int, pixels: int, held: int, upload: int) -> None:
    decoder = DecoderLimits(upload, pixels)
    need = memory_need(workers, held, decoder)
    assert need.total == sum(astuple(need))
    assert (need.uploads, need.members) == (held, workers * upload)
    assert need.frames == workers * pixels * PIXEL_BYTES
    assert need.decoders > decoder.memory + (workers + slow_decoders(workers) - 1) * (ALLOWANCE + LARGE)
    assert memory_need(workers + 1, held, decoder).total > need.total
    assert least_memory(upload, decoder) < memory_need(1, upload, decoder).total


SMALL, DEFAULT = DecoderLimits(32 * MIB, 1_000_000), DecoderLimits(32 * MIB, 32_000_000)


def test_a_container_with_enough_memory_gets_no_warning() -> None:
    need, least = memory_need(2, 64 * MIB, SMALL), least_memory(32 * MIB, SMALL)
    assert check_memory(need, least, need.total) is None
    assert check_memory(need, least, None) is None


def test_a_container_that_may_be_killed_gets_a_warning() -> None:
    need, least = memory_need(2, 512 * MIB, DEFAULT), least_memory(32 * MIB, DEFAULT)
    warning = check_memory(need, least, 2048 * MIB)
    assert warning is not None
    assert f"{-(-need.total // MIB)} MiB" in warning
    assert "the container has 2048," in warning


def test_a_container_without_room_for_one_frame_is_refused() -> None:
    need, least = memory_need(2, 512 * MIB, DEFAULT), least_memory(32 * MIB, DEFAULT)
    with pytest.raises(MemoryLimitError, match=r"one frame .* the container has 512\."):
        check_memory(need, least, 512 * MIB)
