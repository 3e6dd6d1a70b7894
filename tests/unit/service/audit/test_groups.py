"""Small groups are hidden, also from differences with the sums that are shown."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.audit.groups import hide_cells, hide_small


def hidden(sizes: list[int], parents: list[str] | None = None, least: int = 20) -> list[int]:
    shown = hide_small(np.array(sizes), np.array(parents or [""] * len(sizes), dtype=object), least)
    return np.flatnonzero(~shown).tolist()


def test_nothing_to_hide() -> None:
    assert hidden([20, 300, 25]) == []


def test_one_small_group_takes_the_next_with_it() -> None:
    assert hidden([5, 300, 40, 90]) == [0, 2]


def test_small_groups_that_are_large_together_are_enough() -> None:
    assert hidden([15, 300, 10]) == [0, 2]
    assert hidden([5, 300, 10, 50]) == [0, 2, 3]


def test_each_site_shows_its_sum() -> None:
    assert hidden([5, 300, 40, 10, 60, 70], ["north", "north", "north", "south", "south", "south"]) == [0, 2, 3, 4]


def test_the_only_group_is_hidden_alone() -> None:
    assert hidden([5]) == [0]


@settings(deadline=None)
@given(st.lists(st.integers(0, 60), min_size=1, max_size=12), st.integers(1, 30))
def test_no_difference_gives_a_small_group_away(sizes: list[int], least: int) -> None:
    found = hidden(sizes, least=least)
    assert all(number in found for number, size in enumerate(sizes) if size < least)
    if found and len(found) < len(sizes):
        assert len(found) > 1
        assert sum(sizes[number] for number in found) >= least


@settings(deadline=None)
@given(st.data())
def test_no_cell_follows_from_the_sums(data: st.DataObject) -> None:
    rows, columns, least = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 6)), data.draw(st.integers(1, 20))
    cells = st.lists(st.integers(0, 40), min_size=rows * columns, max_size=rows * columns)
    sizes = np.array(data.draw(cells)).reshape(rows, columns)
    shown = hide_cells(sizes, least)
    assert not shown[sizes < least].any()
    for table, seen in ((sizes, shown), (sizes.T, shown.T)):
        for line, visible in zip(table, seen, strict=True):
            missing = (line > 0) & ~visible
            assert missing.sum() != 1 or not visible.any()


@pytest.mark.parametrize("least", [1, 5])
def test_large_cells_are_shown(least: int) -> None:
    assert hide_cells(np.full((3, 4), 9), least).all()
