"""Probabilities in words."""

from hypothesis import given
from hypothesis import strategies as st

from service.reports.text import percent


@given(st.floats(0, 1))
def test_no_probability_is_certain(probability: float) -> None:
    text = percent(probability)
    assert text not in {"0.0 %", "100.0 %", "0 %", "100 %"}
    shown = float(text.strip("<> %")) / 100
    assert abs(shown - probability) <= (0.001 if text[0] in "<>" else 0.00051)
