"""Recipes that train within seconds, and run directories that no training made."""

import csv
from dataclasses import dataclass
from pathlib import Path

import torch

from model_build.cli import main
from model_build.data.formats import read_data
from model_build.data.formats.fetal_planes_db import read_stretched
from model_build.data.labels import PLANES, SUB_PLANES
from model_build.data.splits import Split, make_split, split_stretched
from model_build.models.multi_task import MultiTaskNetwork, create_network
from model_build.recipe import Recipe
from model_build.run_dir import SplitKind, start_run, write_network, write_splits
from tests.support.sub_plane_dataset import PLANE_LABELS, SUB_PLANE_LABELS, write_sub_plane_phantoms
from tests.support.tiny_dataset import write_other_organs

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

SUB_PLANE_RECIPE = """
validation_folds = 4
strict_planes = ["maternal_cervix"]
[network]
backbone = "lite0"
attention = "se"
mlp_layers = 3
dropout = 0.2
[preprocessing]
size = 64
crop = "sector"
[training]
epochs = 2
batch_size = 8
backbone_lr = 1e-3
head_lr = 3e-3
weight_decay = 0.01
warmup_fraction = 0.1
label_smoothing = 0.0
ema_decay = 0.5
balance = 0.5
frozen_blocks = 2
[augmentation]
geometry = 0.3
intensity = 0.3
texture = 0.3
graphics = 0.0
[sub_planes]
weight = 0.5
stretched = 4
"""

IMPROVE_RECIPE = """
extends = "tiny.toml"
[training]
epochs = 10
backbone_lr = 3e-4
head_lr = 1e-3
ema_decay = 0.5
fixed_norms = true
[sub_planes]
stretched = 0
"""


@dataclass(frozen=True)
class BuiltModel:
    """A data set, its stretched frames, other organs, and the run directory and package that the commands made."""

    data: Path
    stretched: Path
    organs: Path
    run: Path
    package: Path

    @classmethod
    def build(cls, folder: Path) -> "BuiltModel":
        """Write phantoms of every plane and sub-plane, train on them and package the run, all through the CLI."""
        (folder / "tiny.toml").write_text(SUB_PLANE_RECIPE)
        data = write_sub_plane_phantoms(folder / "data", 12, (*SUB_PLANE_LABELS, "Other"), PLANE_LABELS)
        stretched = write_sub_plane_phantoms(folder / "stretched", 9, SUB_PLANE_LABELS, ("Fetal brain",))
        sets = ["--data", str(data), "--stretched", str(stretched)]
        run, package = folder / "run", folder / "package"
        assert main(["train", str(run), *sets, "--recipe", str(folder / "tiny.toml"), "--device", "cpu"]) == 0
        organs = write_other_organs(folder / "organs")
        options = ["--other-organs", str(organs), "--name", "phantoms", "--version", "9.9"]
        assert main(["package", str(run), str(package), *sets, *options, "--float32-only"]) == 0
        return cls(data, stretched, organs, run, package)


def improve(built: BuiltModel, corrections: Path, out: Path, *more: str) -> int:
    """Improve the model of `BuiltModel.build` with corrected frames, through the CLI; return the exit code."""
    recipe = built.run.parent / "improve.toml"
    recipe.write_text(IMPROVE_RECIPE)
    sets = ["--data", str(built.data), "--stretched", str(built.stretched), "--other-organs", str(built.organs)]
    named = ["--name", "site", "--version", "2", "--device", "cpu", "--recipe", str(recipe), "--float32-only"]
    return main(["improve", str(built.package), str(out), "--corrections", str(corrections), *sets, *named, *more])


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


def read_table(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file."""
    with path.open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))
