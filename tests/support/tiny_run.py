"""Recipes that train within seconds, and run directories that no training made."""

from pathlib import Path

import torch

from model_build.data.records import PLANES
from model_build.models.classifier import pretrained_classifier
from model_build.models.multi_task import MultiTaskNetwork, pretrained_network
from model_build.recipe import Recipe
from model_build.run_dir import write_network, write_planes, write_recipe

TINY_RECIPE = """
validation_folds = 4
[network]
backbone = "lite0"
attention = "none"
mlp_layers = 1
dropout = 0.1
[preprocessing]
size = 64
crop = "none"
[training]
epochs = 1
batch_size = 8
backbone_lr = 1e-3
head_lr = 3e-3
weight_decay = 0.01
warmup_fraction = 0.1
label_smoothing = 0.0
ema_decay = 0.2
balance = 0.5
frozen_blocks = 3
[augmentation]
geometry = 0
intensity = 0
texture = 0
graphics = 0
"""


def network_of(recipe: Recipe, seed: int, *, sub_planes: bool = False) -> MultiTaskNetwork:
    """Return pretrained weights plus noise of `seed`, with BatchNorm statistics of random frames."""
    torch.manual_seed(0)
    network = pretrained_network(recipe.network, 6, sub_planes=sub_planes)
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.01 * torch.randn_like(parameter))  # also where it began at zero
        network.train()(torch.rand(4, 1, 64, 64) * 255)
    return network.eval()


def write_run(folder: Path, recipe: Recipe, network: MultiTaskNetwork) -> Path:
    """Write a run directory of a network and return it."""
    write_recipe(folder, recipe)
    write_planes(folder, PLANES)
    write_network(folder, network)
    return folder


def write_untrained_run(folder: Path, recipe: Recipe, seed: int) -> Path:
    """Write a run directory of pretrained weights and an untrained head, whose last bias is moved by `seed`."""
    folder.mkdir()
    (folder / "recipe.json").write_text(recipe.model_copy(update={"seed": seed}).model_dump_json())
    torch.manual_seed(0)
    model = pretrained_classifier(recipe.network, 6)
    state = model.state_dict()
    state["head.perceptron.7.bias"] += seed
    torch.save(state, folder / "model.pt")
    return folder
