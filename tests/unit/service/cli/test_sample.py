"""`fetal-planes sample`."""

from pathlib import Path

import pytest

from service import cli
from service.sample.examples import EXAMPLES


def test_it_writes_the_examples_and_may_run_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "new" / "out"
    for _ in range(2):
        assert cli.main(["sample", str(out)]) == 0
        assert capsys.readouterr().out.split() == [str(out / name) for name in EXAMPLES]
    assert {path.name for path in out.iterdir()} == set(EXAMPLES)


def test_it_never_overwrites_another_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "femur.png").write_bytes(b"mine")
    assert cli.main(["sample", str(tmp_path)]) == 2
    assert "femur.png already exists" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["femur.png"]
