"""Decoders answer damaged files of every format with a frame or a problem, and end none but their own process."""

import pytest

from bench.hostile.mutants import try_mutants
from service.execution.decoders.decoder import HAS_PROCESSES

MUTANTS = 2_500
GROWTH = 16 * 2**20


@pytest.mark.fuzz
@pytest.mark.skipif(not HAS_PROCESSES, reason="needs Linux")
def test_every_mutant_gets_a_frame_or_a_problem() -> None:
    result = try_mutants(MUTANTS, seed=1)
    assert result.wrong == []
    assert result.read + result.refused.total() == MUTANTS
    assert result.read > MUTANTS / 20  # else the damage is too much
    assert result.left == 0
    assert result.growth < GROWTH
