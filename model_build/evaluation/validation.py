"""What to choose by: how runs do on the validation patients, whose frames are served as they are, and varied.

Validation frames as they are soon are all told right. Varied as in training, and half as much again, they stand in for
other machines, and still tell networks apart. The test split is not looked at.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model_build.data.datasets import augmented_inputs, eval_inputs
from model_build.data.formats import read_data
from model_build.data.frames import load_frames
from model_build.data.labels import main_planes
from model_build.data.records import Dataset, planes_of
from model_build.evaluation.metrics import top_k
from model_build.evaluation.predictions import Row
from model_build.models.classifier import PlaneClassifier
from model_build.models.inference import predict
from model_build.recipe import Augmentation, Recipe
from model_build.run_dir import read_model, read_planes, read_recipe, read_split, read_split_text

TIMES = 6  # varied views of each validation frame
_STRENGTHS = (1.0, 1.5)


def validate(runs: Sequence[Path], data: Path) -> list[Row]:
    """Score runs on their validation frames: one row a run, of the main planes where there are more, and of all.

    All runs see the same variations of the same frames, each with its own preprocessing.

    Raises
    ------
    ValueError
        The runs hold out different patients.
    """
    recipes = [read_recipe(run) for run in runs]
    if len({read_split_text(run) for run in runs}) > 1:
        raise ValueError("the runs hold out different patients; only runs of one split can be compared")
    val = read_split(runs[0], read_data(data)).val
    val_data, planes = Dataset(load_frames(val), val), planes_of(val)
    rows: list[Row] = []
    for run, recipe in zip(runs, recipes, strict=True):
        model, names = read_model(run), [plane.id for plane in read_planes(run)]
        main = np.isin(planes, main_planes(names) or range(len(names)))
        row: Row = {"run": run.name, "frames": len(val), "main_frames": int(main.sum())}
        for strength in (0.0, *_STRENGTHS):
            views = _views(val_data, recipe, recipes[0], strength)
            probabilities = softmax(model, views)
            times = len(views) // len(val)
            row[f"top1_at_{strength:g}"] = _top1(probabilities, np.tile(planes, times))
            row[f"main_top1_at_{strength:g}"] = _top1(probabilities[np.tile(main, times)], np.tile(planes[main], times))
            row[f"loss_at_{strength:g}"] = mean_log_loss(probabilities, np.tile(planes, times))
        rows.append(row)
    return rows


def softmax(model: PlaneClassifier, views: Tensor, device: str = "cpu") -> NDArray[np.float32]:
    """Probabilities float32 [N, K] of views uint8 [N, 1, S, S], without any temperature."""
    return torch.softmax(predict(model, views, device), 1).numpy()


def mean_log_loss(probabilities: NDArray[np.float32], planes: NDArray[np.int64]) -> float:
    """The mean negative logarithm of the true plane's probability."""
    return float(-np.log(probabilities[np.arange(len(planes)), planes]).mean())


def _views(val_data: Dataset, own: Recipe, first: Recipe, strength: float) -> Tensor:
    if strength == 0:
        return eval_inputs(val_data.frames, own.preprocessing)
    everything = Augmentation(geometry=strength, intensity=strength, texture=strength, graphics=strength)
    variation = first.model_copy(update={"preprocessing": own.preprocessing, "augmentation": everything, "seed": 0})
    return augmented_inputs(val_data, variation, TIMES)


def _top1(probabilities: NDArray[np.float32], planes: NDArray[np.int64]) -> float:
    return float(top_k(probabilities, planes, 1).mean())
