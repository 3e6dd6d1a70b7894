"""Recipes that train within seconds, and run directories that no training made."""

from pathlib import Path

import torch

from model_build.data.formats import read_data
from model_build.data.formats.fetal_planes_db import read_stretched
from model_build.data.labels import PLANES, SUB_PLANES
from model_build.data.splits import Split, make_split, split_stretched
from model_build.models.multi_task import MultiTaskNetwork, create_network
from model_build.recipe import Recipe
from model_build.run_dir import SplitKind, start_run, write_network, write_splits

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
    network = create_network(recipe.network, 6, len(SUB_PLANES) if sub_planes else 0, pretrained=True)
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.01 * torch.randn_like(parameter))  # also where it began at zero
        network.train()(torch.rand(4, 1, 64, 64) * 255)
    return network.eval()


def write_run(
    folder: Path, recipe: Recipe, network: MultiTaskNetwork, data: Path, stretched: Path | None = None
) -> Path:
    """Write the run directory of a network, with the split of the recipe, and return it."""
    start_run(folder, recipe, PLANES)
    index = read_data(data)
    split = make_split(index, recipe)
    splits: dict[SplitKind, tuple[Split, Path]] = {"frames": (split, index.folder)}
    if stretched:
        splits["stretched_frames"] = (split_stretched(read_stretched(stretched), split), stretched)
    write_splits(folder, splits)
    write_network(folder, network)
    return folder


def write_untrained_run(folder: Path, recipe: Recipe, seed: int, data: Path) -> Path:
    """Write a run directory of pretrained weights and an untrained head, whose last bias is moved by `seed`."""
    torch.manual_seed(0)
    network = create_network(recipe.network, 6, pretrained=True)
    network.classifier.state_dict()["head.mlp.7.bias"].add_(seed)
    return write_run(folder, recipe.model_copy(update={"seed": seed}), network, data)
