import sys
from pathlib import Path

import pytest

from bench import loader
from tests.support.tiny_dataset import write_phantoms
from tests.support.tiny_run import TINY_RECIPE


@pytest.mark.training
def test_training_is_compared_with_tensors_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data, recipe = write_phantoms(tmp_path / "data"), tmp_path / "tiny.toml"
    recipe.write_text(TINY_RECIPE)
    options = ["--recipe", str(recipe), "--device", "cpu", "--workers", "0", "--steps", "1", "--turns", "1"]
    monkeypatch.setattr(sys, "argv", ["loader", str(data), *options])
    loader.main()
    lines = capsys.readouterr().out.splitlines()
    rates = dict(line.removeprefix("- ").split(": ") for line in lines if line.startswith("- "))
    assert list(rates) == [loader.LOADER, loader.IN_MEMORY, loader.TRAINING, "with the loader / in memory"]
    assert 0 < float(rates["with the loader / in memory"].partition(" ")[0]) < 10
