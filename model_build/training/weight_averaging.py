"""Average the weights of runs that started alike: a model soup (Wortsman et al. 2022, arXiv 2203.05482).

It costs nothing at inference, and on frames of other scanners it is usually better than each of its runs. BatchNorms
are folded into their convolutions first and averaged with them. The usual alternative, new statistics from training
frames, was measured here and made a network worse.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from model_build import run_dir
from model_build.data.formats import read_data
from model_build.data.frames import load_frames
from model_build.data.records import Dataset
from model_build.models.batchnorm import fold_batchnorm
from model_build.models.multi_task import create_network
from model_build.new_run import check_new
from model_build.training.refit_head import refit_sub_plane_head


def average_weights(runs: Sequence[Path], out: Path, data: Path, stretched: Path | None = None) -> None:
    """Average the networks of `runs` and write `out`, a run's folder with the first run's recipe.

    If a run has a sub-plane head, a new one is trained on the averaged backbone: a head fits the feature maps of its
    own network only. `data` and `stretched` are the frames that the runs were trained on, see `train_run`.

    Raises ValueError where the runs differ in network, preprocessing, planes or split, and RunError where one is
    unfinished or `out` holds a run already.
    """
    check_new(out)
    for run in runs:
        run_dir.check_finished(run)
    recipes = [run_dir.read_recipe(run) for run in runs]
    for field in ("network", "preprocessing"):
        if any(getattr(recipe, field) != getattr(recipes[0], field) for recipe in recipes):
            raise ValueError(f"the recipes of the runs differ in {field}; such runs cannot be averaged")
    planes = run_dir.read_planes(runs[0])
    if any(run_dir.read_planes(run) != planes for run in runs):
        raise ValueError("the runs differ in their planes; such runs cannot be averaged")
    # The average would have been trained on the validation patients of some runs.
    if len({run_dir.read_split_text(run) for run in runs}) > 1:
        raise ValueError("the runs differ in their splits.json; such runs cannot be averaged")
    networks = [run_dir.read_network(run) for run in runs]
    for network in networks:
        fold_batchnorm(network.classifier.backbone)
    averaged = create_network(recipes[0].network, len(planes))
    averaged.classifier.load_state_dict(_mean([network.classifier.state_dict() for network in networks]))
    if any(network.sub_planes is not None for network in networks):
        train = run_dir.read_split(runs[0], read_data(data)).train
        records = [record for record in train if record.sub_plane is not None]
        records += run_dir.read_stretched_split(runs[0], stretched).train
        refit_sub_plane_head(averaged, Dataset(load_frames(records), records), recipes[0])
    run_dir.start_run(out, recipes[0], planes)
    run_dir.copy_splits(runs[0], out)
    run_dir.write_network(out, averaged)


def _mean(states: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    return {
        name: torch.stack([state[name].double() for state in states]).mean(0).to(value.dtype)
        for name, value in states[0].items()
    }
