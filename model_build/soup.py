"""A soup: the mean of the weights of runs that differ in their seed alone (Wortsman et al. 2022, arXiv 2203.05482).

It costs nothing at inference, and on frames from elsewhere it is usually better than each of its runs.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch.utils.data import DataLoader

from model_build.data import load_frames
from model_build.joint import JointNetwork, blank_network
from model_build.layouts import read_data
from model_build.recipe import Recipe
from model_build.run_folder import read_network, read_planes, read_recipe, write_network, write_planes, write_recipe
from model_build.splits import divide
from model_build.train import set_training
from model_build.views import TrainingViews

_PASSES = 2  # over the training frames, to estimate the BatchNorm statistics of the mean


def cook(runs: Sequence[Path], data: Path, out: Path) -> None:
    """Average the models of `runs` into `out`, a run's folder itself; needs the data for the BatchNorm statistics.

    Raises
    ------
    ValueError
        The runs differ in more than their seed.
    """
    recipes = [read_recipe(run) for run in runs]
    recipe = recipes[0]
    if any(other.model_copy(update={"seed": recipe.seed}) != recipe for other in recipes):
        raise ValueError("only runs whose recipes differ in nothing but the seed can be averaged")
    planes = read_planes(runs[0])
    if any(read_planes(run) != planes for run in runs):
        raise ValueError("only runs that tell the same planes apart can be averaged")
    networks = [read_network(run) for run in runs]
    if len({network.sub_planes is None for network in networks}) > 1:
        raise ValueError("only runs that all have a head for sub-planes, or all have none, can be averaged")
    states = [network.state_dict() for network in networks]
    mean = {
        name: torch.stack([state[name].float() for state in states]).mean(0).to(value.dtype)
        for name, value in states[0].items()
    }
    network = blank_network(recipe.network, len(planes), sub_planes=networks[0].sub_planes is not None)
    network.load_state_dict(mean)
    records = divide(read_data(data), recipe).train
    views = TrainingViews(load_frames(records), records, recipe)
    _estimate_statistics(network, views, recipe)
    write_recipe(out, recipe)
    write_planes(out, planes)
    write_network(out, network)


def _estimate_statistics(network: JointNetwork, views: TrainingViews, recipe: Recipe) -> None:
    """Plain means over all batches, of the part that is not frozen."""
    set_training(network, recipe.training.frozen_blocks)
    norms = [part for part in network.modules() if isinstance(part, torch.nn.BatchNorm2d) and part.training]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # PyTorch's way to ask for the plain mean
    with torch.no_grad():
        for epoch in range(_PASSES):
            views.epoch = recipe.training.epochs + epoch
            for frames, *_ in DataLoader(views, batch_size=32, shuffle=False):
                network(frames.float())
    network.eval()
