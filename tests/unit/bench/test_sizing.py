import os
import subprocess
from pathlib import Path

import pytest

from bench.sizing import Load, _run_load, core_counts


@pytest.mark.parametrize(("cores", "counts"), [(1, [1]), (2, [1, 2]), (4, [1, 2, 4]), (6, [1, 2, 4, 6])])
def test_cores_are_doubled_up_to_all(cores: int, counts: list[int]) -> None:
    assert core_counts(cores) == counts


def test_the_loops_are_read_though_bench_replaces_its_file(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(command: list[str], **_: object) -> None:
        table = Path(command[command.index("--csv") + 1])
        draft = table.with_suffix(".part")
        draft.write_text("load,per_second\n1 clients,31.2\n16 clients,62.0\n")
        draft.replace(table)

    monkeypatch.setattr(subprocess, "run", run)
    load = Load([], 1, os.sched_getaffinity(0))
    assert [row["per_second"] for row in _run_load("http://127.0.0.1:1", [1, 16], load)] == ["31.2", "62.0"]
