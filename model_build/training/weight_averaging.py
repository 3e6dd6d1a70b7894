"""A soup: the mean of the weights of runs that started alike (Wortsman et al. 2022, arXiv 2203.05482).

It costs nothing at inference, and on frames from elsewhere it is usually better than each of its runs. BatchNorms are
folded into their convolutions first and so averaged with them. To estimate their statistics anew on training frames,
as is often done for means of weights, was measured here and made a network worse.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from model_build.data.formats import read_data
from model_build.data.records import load_frames
from model_build.data.splits import make_split, read_stretched
from model_build.models.batchnorm import fold_batchnorm
from model_build.models.multi_task import blank_network
from model_build.run_dir import read_network, read_planes, read_recipe, write_network, write_planes, write_recipe
from model_build.training.refit_head import refit

_SAME = ("network", "preprocessing", "split", "validation_folds")  # of the recipes: else held-out women are trained on


def average_weights(runs: Sequence[Path], out: Path, data: Path, stretched: Path | None = None) -> None:
    """Average the networks of `runs` into `out`, a run's folder itself, with the first one's recipe.

    Where a run has a head for sub-planes, one is taught anew on the mean, by the frames that runs are trained with: see
    `train_run`. A head follows its own network's maps, and those of the mean are others.

    Raises
    ------
    ValueError
        The runs are of different networks, planes, preprocessings or divisions of the data.
    """
    recipes = [read_recipe(run) for run in runs]
    for name in _SAME:
        if any(getattr(recipe, name) != getattr(recipes[0], name) for recipe in recipes):
            raise ValueError(f"the recipes of the runs differ in {name}; such runs cannot be averaged")
    planes = read_planes(runs[0])
    if any(read_planes(run) != planes for run in runs):
        raise ValueError("only runs that tell the same planes apart can be averaged")
    networks = [read_network(run) for run in runs]
    for network in networks:
        fold_batchnorm(network.classifier.backbone)
    mean = blank_network(recipes[0].network, len(planes), sub_planes=False)
    mean.classifier.load_state_dict(_mean([network.classifier.state_dict() for network in networks]))
    if any(network.sub_planes is not None for network in networks):
        split = make_split(read_data(data), recipes[0])
        records = [record for record in split.train if record.sub_plane is not None]
        records += read_stretched(stretched, split).train
        refit(mean, load_frames(records), records, recipes[0])
    write_recipe(out, recipes[0])
    write_planes(out, planes)
    write_network(out, mean)


def _mean(states: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    return {
        name: torch.stack([state[name].double() for state in states]).mean(0).to(value.dtype)
        for name, value in states[0].items()
    }
