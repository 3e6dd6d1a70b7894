"""Damaged videos and archives: `python -m bench.hostile --mutants 10000 --cines`, with fewer of them."""

import os
import tempfile
from pathlib import Path

import pytest

from bench.hostile.mutants import try_mutants
from service.execution.decoders.decoder import HAS_PROCESSES
from tests.support.mutants import cine_seeds

pytestmark = pytest.mark.skipif(not HAS_PROCESSES, reason="needs Linux")

MUTANTS = int(os.environ.get("CINE_MUTANTS", "300"))
LONGEST_S = 60


def test_each_mutant_gets_an_answer_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    makers = cine_seeds()
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    result = try_mutants(MUTANTS, 1, lambda: makers)
    assert result.wrong == []
    assert result.read + result.refused.total() == MUTANTS
    assert result.read > MUTANTS / 10
    assert result.refused.total() > MUTANTS / 10
    assert result.left == 0
    assert result.slowest_s < LONGEST_S
    assert list(tmp_path.iterdir()) == []
