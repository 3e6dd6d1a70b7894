"""The average of the weights of several runs."""

from pathlib import Path

import pytest
import torch

from model_build.models.batchnorm import fold_batchnorm
from model_build.recipe import Recipe
from model_build.run_dir import RunError, read_network
from model_build.training.weight_averaging import average_weights
from tests.support.sub_plane_dataset import PLANE_LABELS, SUB_PLANE_LABELS, write_sub_plane_phantoms
from tests.support.tiny_run import network_of, write_run

FRAMES = torch.rand(2, 1, 64, 64, generator=torch.Generator().manual_seed(5)) * 255


def test_folding_batchnorms_does_not_change_the_output(tiny_recipe: Recipe) -> None:
    network = network_of(tiny_recipe, 1)
    with torch.inference_mode():
        expected = network(FRAMES)[0]
        fold_batchnorm(network.classifier.backbone)
        assert torch.allclose(network(FRAMES)[0], expected, atol=1e-3)
    norm = network.classifier.backbone.get_submodule("_bn0")
    assert norm.get_buffer("running_mean").abs().max() == 0


def test_averaged_weights_are_the_mean(phantoms: Path, tiny_recipe: Recipe, tmp_path: Path) -> None:
    networks = [network_of(tiny_recipe, seed) for seed in (1, 2)]
    other = tiny_recipe.model_copy(update={"seed": 2, "sub_planes": None})
    runs = [
        write_run(tmp_path / "a", tiny_recipe, networks[0], phantoms),
        write_run(tmp_path / "b", other, networks[1], phantoms),
    ]
    average_weights(runs, tmp_path / "average", phantoms)
    average = read_network(tmp_path / "average")
    for network in networks:
        fold_batchnorm(network.classifier.backbone)
    states = [network.classifier.state_dict() for network in networks]
    for name, value in average.classifier.state_dict().items():
        if value.is_floating_point():
            assert torch.allclose(value, (states[0][name] + states[1][name]) / 2, atol=1e-6), name
    assert average.sub_planes is None


def test_the_average_of_a_run_with_itself_gives_its_output(phantoms: Path, tiny_recipe: Recipe, tmp_path: Path) -> None:
    network = network_of(tiny_recipe, 1)
    run = write_run(tmp_path / "run", tiny_recipe, network, phantoms)
    average_weights([run, run], tmp_path / "average", phantoms)
    with torch.inference_mode():
        assert torch.allclose(read_network(tmp_path / "average")(FRAMES)[0], network(FRAMES)[0], atol=1e-3)


def test_unfinished_runs_are_not_averaged_and_runs_not_overwritten(
    phantoms: Path, tiny_recipe: Recipe, tmp_path: Path
) -> None:
    run = write_run(tmp_path / "run", tiny_recipe, network_of(tiny_recipe, 1), phantoms)
    with pytest.raises(RunError, match="holds a finished run: name another folder"):
        average_weights([run, run], run, phantoms)
    (run / "model.pt").unlink()
    with pytest.raises(RunError, match="is an unfinished run"):
        average_weights([run, run], tmp_path / "average", phantoms)


def test_a_new_sub_plane_head_is_trained_on_the_average(tiny_recipe: Recipe, tmp_path: Path) -> None:
    data = write_sub_plane_phantoms(tmp_path / "data", 12, SUB_PLANE_LABELS, PLANE_LABELS)
    stretched = write_sub_plane_phantoms(tmp_path / "stretched", 9, SUB_PLANE_LABELS, ("Fetal brain",))
    runs = [
        write_run(
            tmp_path / str(seed), tiny_recipe, network_of(tiny_recipe, seed, sub_planes=seed == 1), data, stretched
        )
        for seed in (1, 2)
    ]
    average_weights(runs, tmp_path / "average", data, stretched)
    averaged, former = read_network(tmp_path / "average").sub_planes, read_network(runs[0]).sub_planes
    assert averaged is not None
    assert former is not None
    assert not torch.allclose(averaged.linear.weight, former.linear.weight)


def test_runs_with_different_splits_are_not_averaged(phantoms: Path, tiny_recipe: Recipe, tmp_path: Path) -> None:
    other = tiny_recipe.model_copy(update={"validation_folds": 5})
    network = network_of(tiny_recipe, 1)
    runs = [
        write_run(tmp_path / "a", tiny_recipe, network, phantoms),
        write_run(tmp_path / "b", other, network, phantoms),
    ]
    with pytest.raises(ValueError, match=r"splits\.json"):
        average_weights(runs, tmp_path / "average", phantoms)
