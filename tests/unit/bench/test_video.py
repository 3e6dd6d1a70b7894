"""The memory of a service does not grow with a video's length. `make bench-video` measures longer ones."""

import sys
from pathlib import Path

import pytest

from bench.video.measure import measure_peak


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux reports the peak memory of a process")
def test_a_long_video_takes_no_more_memory_than_a_short_one(phantom_folder: Path) -> None:
    (_, short), (_, long) = [measure_peak(frames, 512, phantom_folder) for frames in (50, 600)]
    assert 600 * 512**2 / 2**20 > 140  # MiB of all decoded frames together
    assert long - short < 60
