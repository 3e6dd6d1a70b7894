"""A soup: the mean of the weights of runs that differ in their seed alone (Wortsman et al. 2022, arXiv 2203.05482).

It costs nothing at inference, and on frames from elsewhere it is usually better than each of its runs.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch.utils.data import DataLoader

from model_build.classifier import PlaneClassifier, blank_classifier
from model_build.data import load_frames
from model_build.layouts import read_data
from model_build.recipe import Recipe
from model_build.run_folder import read_model, read_planes, read_recipe, write_model, write_planes, write_recipe
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
    states = [read_model(run).state_dict() for run in runs]
    mean = {
        name: torch.stack([state[name].float() for state in states]).mean(0).to(value.dtype)
        for name, value in states[0].items()
    }
    model = blank_classifier(recipe.network, len(planes))
    model.load_state_dict(mean)
    records = divide(read_data(data), recipe).train
    views = TrainingViews(load_frames(records), records, recipe)
    _estimate_statistics(model, views, recipe)
    write_recipe(out, recipe)
    write_planes(out, planes)
    write_model(out, model)


def _estimate_statistics(model: PlaneClassifier, views: TrainingViews, recipe: Recipe) -> None:
    """Plain means over all batches, of the part that is not frozen."""
    set_training(model, recipe.training.frozen_blocks)
    norms = [part for part in model.modules() if isinstance(part, torch.nn.BatchNorm2d) and part.training]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # PyTorch's way to ask for the plain mean
    with torch.no_grad():
        for epoch in range(_PASSES):
            views.epoch = recipe.training.epochs + epoch
            for frames, _ in DataLoader(views, batch_size=32, shuffle=False):
                model(frames.float())
    model.eval()
