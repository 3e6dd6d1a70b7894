"""What runs are chosen by."""

import csv
from pathlib import Path

import pytest
import torch

from model_build.cli import main
from model_build.evaluation.validation import validate
from model_build.recipe import Recipe
from tests.support.tiny_run import network_of, write_run


def test_a_run_is_scored_on_the_frames_it_held_out_served_and_varied(
    phantoms: Path, tiny_recipe: Recipe, tmp_path: Path
) -> None:
    blind = network_of(tiny_recipe, 1)
    with torch.no_grad():
        for parameter in blind.classifier.head.parameters():
            parameter.zero_()
    runs = [
        write_run(tmp_path / "blind", tiny_recipe, blind, phantoms),
        write_run(tmp_path / "seeing", tiny_recipe, network_of(tiny_recipe, 2), phantoms),
        write_run(tmp_path / "again", tiny_recipe.model_copy(update={"seed": 7}), network_of(tiny_recipe, 2), phantoms),
    ]
    assert main(["validate", *map(str, runs), "--data", str(phantoms), "--out", str(tmp_path / "table.csv")]) == 0
    with (tmp_path / "table.csv").open(newline="") as lines:
        first, second, third = csv.DictReader(lines)
    for strength in ("0", "1", "1.5"):
        assert float(first[f"loss_at_{strength}"]) == pytest.approx(1.791759, abs=1e-5)  # the logarithm of six planes
        assert float(first[f"top1_at_{strength}"]) == pytest.approx(1 / 6, abs=1e-5)  # one of six planes' equal shares
        assert float(first[f"main_top1_at_{strength}"]) == pytest.approx(1 / 4, abs=1e-5)
    assert float(second["loss_at_1"]) != float(second["loss_at_0"])
    assert {name: value for name, value in second.items() if name != "run"} == {
        name: value for name, value in third.items() if name != "run"
    }  # the seed of its own training does not change what a run is shown


def test_runs_that_hold_out_other_patients_are_not_compared(
    phantoms: Path, tiny_recipe: Recipe, tmp_path: Path
) -> None:
    other = tiny_recipe.model_copy(update={"validation_folds": tiny_recipe.validation_folds + 1})
    runs = [
        write_run(tmp_path / "a", tiny_recipe, network_of(tiny_recipe, 1), phantoms),
        write_run(tmp_path / "b", other, network_of(tiny_recipe, 1), phantoms),
    ]
    with pytest.raises(ValueError, match="have different splits"):
        validate(runs, phantoms)
