"""Memory does not grow with a cine's length; `make cine-memory` shows it at full length."""

import sys
from pathlib import Path

import pytest

from bench.cine_memory import make_cine, measure

SIDE = 512


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process's peak")
def test_a_long_cine_takes_no_more_memory_than_a_short_one(phantom_folder: Path) -> None:
    short, long = [measure(make_cine(frames, SIDE), frames, phantom_folder) for frames in (50, 600)]
    assert 600 * SIDE**2 / 2**20 > 140  # MB that all frames would take
    assert long - short < 50
