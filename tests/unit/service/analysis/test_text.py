"""Words for people: percentages that are never certain, and counts."""

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.analysis.text import GUESSES, REASONS, left_text, percent, unnamed_text
from service.schemas.exam import ReviewReason
from tests.support.percent_table import PERCENT_TABLE


@pytest.mark.parametrize(("probability", "text"), PERCENT_TABLE.items())
def test_percent(probability: float, text: str) -> None:
    assert percent(probability) == text


@given(st.floats(0, 1))
def test_no_probability_is_certain(probability: float) -> None:
    assert percent(probability) not in ("0.0 %", "100.0 %")


@given(st.floats(0, 1), st.floats(0, 1))
def test_percent_keeps_the_order(one: float, other: float) -> None:
    low, high = sorted((one, other))
    values = {"< 0.1 %": 0.0, "> 99.9 %": 100.0}
    numbers = [values.get(text) or float(text.strip("<> %")) for text in (percent(low), percent(high))]
    assert numbers == sorted(numbers)


def test_every_reason_has_its_words() -> None:
    assert set(REASONS) == set(get_args(ReviewReason))
    assert set(REASONS) > GUESSES


def test_counts() -> None:
    assert left_text(50, 54) == "50 of 54 files left"
    assert left_text(1, 1) == "1 of 1 file left"
    assert unnamed_text(4, 5) == "4 of 5 frames not sure"
    assert unnamed_text(1, 1) == "1 of 1 frame not sure"
    assert unnamed_text(2, 4) == "the frames do not agree"
