"""Comparison of runs on their validation frames."""

import csv
from pathlib import Path

import pytest
import torch

from model_build.cli import main
from model_build.evaluation.validation import validate
from model_build.recipe import Recipe
from tests.support.tiny_run import network_of, write_run


def test_runs_are_scored_on_original_and_augmented_validation_frames(
    phantoms: Path, tiny_recipe: Recipe, tmp_path: Path
) -> None:
    constant = network_of(tiny_recipe, 1)
    with torch.no_grad():
        for parameter in constant.classifier.head.parameters():
            parameter.zero_()
    reseeded = tiny_recipe.model_copy(update={"seed": 7})
    runs = [
        write_run(tmp_path / "constant", tiny_recipe, constant, phantoms),
        write_run(tmp_path / "noise", tiny_recipe, network_of(tiny_recipe, 2), phantoms),
        write_run(tmp_path / "reseeded", reseeded, network_of(tiny_recipe, 2), phantoms),
    ]
    assert main(["validate", *map(str, runs), "--data", str(phantoms), "--out", str(tmp_path / "table.csv")]) == 0
    with (tmp_path / "table.csv").open(newline="") as lines:
        first, second, third = csv.DictReader(lines)
    for magnitude in ("0", "1", "1.5", "wide"):
        assert float(first[f"loss_at_{magnitude}"]) == pytest.approx(1.791759, abs=1e-5)  # log 6: six equal planes
        assert float(first[f"top1_at_{magnitude}"]) == pytest.approx(1 / 6, abs=1e-5)
        assert float(first[f"main_top1_at_{magnitude}"]) == pytest.approx(1 / 4, abs=1e-5)
        assert float(first[f"calibration_error_at_{magnitude}"]) == pytest.approx(0, abs=1e-5)
        # No order of equal views leaves one error in a hundred of them, but the first ones may happen to be right.
        assert 0.7 < float(first[f"main_abstained_at_{magnitude}"]) <= 1
    assert float(second["loss_at_1"]) != float(second["loss_at_0"])
    # The seed of a run must not change the augmented frames that it is scored on.
    assert {**second, "run": ""} == {**third, "run": ""}


def test_runs_with_other_splits_are_not_compared(phantoms: Path, tiny_recipe: Recipe, tmp_path: Path) -> None:
    other = tiny_recipe.model_copy(update={"validation_folds": tiny_recipe.validation_folds + 1})
    runs = [
        write_run(tmp_path / "a", tiny_recipe, network_of(tiny_recipe, 1), phantoms),
        write_run(tmp_path / "b", other, network_of(tiny_recipe, 1), phantoms),
    ]
    with pytest.raises(ValueError, match="have different splits"):
        validate(runs, phantoms)
