from pathlib import Path

import pytest

from model_build.cli import main
from model_build.experiments.ablation import multiply_adds
from model_build.models.classifier import Network, create_classifier
from model_build.recipe import load_recipe
from tests.support.tiny_dataset import write_tree
from tests.support.tiny_run import read_table


def test_the_table_has_one_row_per_combination(tiny_file: Path, tmp_path: Path) -> None:
    data = write_tree(tmp_path / "data", ("heart", "spine"), count=10)
    call = ["ablate", str(tmp_path / "out"), "--data", str(data), "--recipe", str(tiny_file), "--backbones", "lite0"]
    assert main([*call, "--attentions", "none", "eca", "--mlp-layers", "1", "--seeds", "1", "--device", "cpu"]) == 0
    none, eca = read_table(tmp_path / "out" / "ablation.csv")
    two_classes = create_classifier(Network(backbone="lite0", attention="none", mlp_layers=1, dropout=0), 2)
    assert int(none["parameters"]) == sum(parameter.numel() for parameter in two_classes.parameters())
    assert int(eca["parameters"]) == int(none["parameters"]) + 6  # a kernel of five and a bias
    assert float(none["milliseconds_one_thread"]) > 0


def test_an_unknown_attention_is_refused_by_name(
    phantoms: Path, tiny_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call = ["ablate", str(tmp_path / "out"), "--data", str(phantoms), "--recipe", str(tiny_file), "--device", "cpu"]
    assert main([*call, "--attentions", "lens"]) == 1
    assert "'lens' is none of" in capsys.readouterr().err


def test_multiply_adds_are_the_published_ones() -> None:
    model = create_classifier(Network(backbone="lite0", attention="none", mlp_layers=1, dropout=0), 1000)
    published = 407e6  # of Lite0 at 224 pixels with three input channels
    stem = 2 * 9 * 32 * 112 * 112  # multiply-adds that a single gray channel saves
    assert multiply_adds(model, 224) == pytest.approx(published - stem, rel=0.06)


def test_the_edge_recipe_costs_about_half() -> None:
    def cost(name: str) -> int:
        recipe = load_recipe(name)
        return multiply_adds(create_classifier(recipe.network, 6), recipe.preprocessing.size)

    assert 0.4 < cost("edge") / cost("default") < 0.65
