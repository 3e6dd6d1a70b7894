import pytest

from bench.sizing import core_counts


@pytest.mark.parametrize(("cores", "counts"), [(1, [1]), (2, [1, 2]), (4, [1, 2, 4]), (6, [1, 2, 4, 6])])
def test_cores_are_doubled_up_to_all(cores: int, counts: list[int]) -> None:
    assert core_counts(cores) == counts
