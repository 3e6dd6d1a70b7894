"""The timing of a table job is computed from the times at which its parts were written."""

import pytest

pytest.importorskip("pyarrow", reason="the extra `table` is not installed")

from bench.table_throughput import JobOutput, analyze


@pytest.mark.parametrize("parallel", [1, 2])
def test_start_steady_rate_and_end_are_separated(parallel: int) -> None:
    seconds_per_part = parallel * 100 / 50
    times = [1000 + 7 + (number // parallel + 1) * seconds_per_part for number in range(40)]
    timing = analyze(JobOutput([(written, 100) for written in times], 1000, 7 + 80 + 3, parallel, {}))
    assert timing.steady_rate == pytest.approx(50, rel=0.01)
    assert timing.start_s == pytest.approx(7, abs=0.1)
    assert timing.end_s == pytest.approx(3, abs=1)
    assert timing.overall_rate == pytest.approx(4000 / 90)
