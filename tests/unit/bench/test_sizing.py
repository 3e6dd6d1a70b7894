"""The command that measures what a core gives: which numbers of cores, and where its table goes."""

import os
import sys
from pathlib import Path

import pytest

from bench import sizing


@pytest.mark.parametrize(("cores", "counts"), [(1, [1]), (2, [1, 2]), (4, [1, 2, 4]), (6, [1, 2, 4, 6])])
def test_cores_are_doubled_up_to_all(cores: int, counts: list[int]) -> None:
    assert sizing._counts(cores) == counts


def test_the_table_replaces_what_was_between_the_marks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- measured -->\nold\n<!-- end -->\nafter\n")
    monkeypatch.setattr(sizing, "_measure", lambda cores, count, frames, seconds: [f"| {count} cores |\n"])
    monkeypatch.setattr(sys, "argv", ["sizing", "--write", str(page)])
    assert sizing.main() == 0
    text = page.read_text()
    assert text.startswith("before\n<!-- measured -->\n")
    assert text.endswith("<!-- end -->\nafter\n")
    assert "old" not in text
    assert f"| {len(os.sched_getaffinity(0))} cores |\n\n<!-- end -->" in text
