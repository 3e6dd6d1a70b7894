"""What `make table-rate` makes of the times at which a job's parts were written."""

import pytest

pytest.importorskip("pyarrow", reason="the extra `ray` is not installed")

from bench.table_throughput import timed


@pytest.mark.parametrize("side_by_side", [1, 2])
def test_start_rate_and_end_are_told_apart(side_by_side: int) -> None:
    seconds_a_part = side_by_side * 100 / 50
    ends = [1000 + 7 + (number // side_by_side + 1) * seconds_a_part for number in range(40)]
    measured = timed([(end, 100) for end in ends], 1000, 7 + 80 + 3, side_by_side, {})
    assert measured.running == pytest.approx(50, rel=0.01)
    assert measured.start == pytest.approx(7, abs=0.1)
    assert measured.end == pytest.approx(3, abs=1)
    assert measured.whole == pytest.approx(4000 / 90)
