"""The memory of a service does not grow with a cine's length. `make bench-cine-memory` measures longer cines."""

import sys
from pathlib import Path

import pytest

from bench.cine_memory import make_cine, measure_peak

SIDE = 512


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux reports the peak memory of a process")
def test_a_long_cine_takes_no_more_memory_than_a_short_one(phantom_folder: Path) -> None:
    short, long = [measure_peak(make_cine(frames, SIDE), frames, phantom_folder) for frames in (50, 600)]
    assert 600 * SIDE**2 / 2**20 > 140  # MiB of all decoded frames together
    assert long - short < 50
