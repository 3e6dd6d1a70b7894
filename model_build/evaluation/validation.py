"""Comparison of runs on the validation patients, to choose between runs without the test split.

Most networks classify every validation frame correctly. Augmented frames still separate networks, and they stand in for
scanners that are not in the data. Each run is scored on the original frames and on two magnitudes of augmentation.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from model_build.data.datasets import augmented_inputs, eval_inputs
from model_build.data.formats import read_data
from model_build.data.frames import load_frames
from model_build.data.labels import main_planes
from model_build.data.records import Dataset, planes_of
from model_build.evaluation.metrics import top_k_rate
from model_build.evaluation.tables import Row
from model_build.models.inference import predict
from model_build.recipe import Augmentation, Recipe
from model_build.run_dir import check_finished, read_model, read_planes, read_recipe, read_split, read_split_text

AUGMENTED_PER_FRAME = 6
_MAGNITUDES = (1.0, 1.5)


def validate(runs: Sequence[Path], data: Path) -> list[Row]:
    """Return one row per run: log loss, top-1 and top-1 on the main planes, at each magnitude (0: no augmentation).

    Every run gets the same augmentation of the same frames, with its own preprocessing.

    Raises
    ------
    ValueError
        The runs have different splits, or one is unfinished.
    """
    for run in runs:
        check_finished(run)
    recipes = [read_recipe(run) for run in runs]
    if len({read_split_text(run) for run in runs}) > 1:
        raise ValueError("the runs have different splits; only runs with the same split can be compared")
    val = read_split(runs[0], read_data(data)).val
    val_data, labels = Dataset(load_frames(val), val), planes_of(val)
    rows: list[Row] = []
    for run, recipe in zip(runs, recipes, strict=True):
        model, names = read_model(run), [plane.id for plane in read_planes(run)]
        main = np.isin(labels, main_planes(names) or range(len(names)))
        row: Row = {"run": run.name, "frames": len(val), "main_frames": int(main.sum())}
        for magnitude in (0.0, *_MAGNITUDES):
            inputs = _inputs(val_data, recipe, recipes[0], magnitude)
            probabilities, repeats = predict(model, inputs).softmax(1).numpy(), len(inputs) // len(val)
            all_labels, all_main = np.tile(labels, repeats), np.tile(main, repeats)
            row[f"top1_at_{magnitude:g}"] = top_k_rate(probabilities, all_labels)
            row[f"main_top1_at_{magnitude:g}"] = top_k_rate(probabilities[all_main], all_labels[all_main])
            row[f"loss_at_{magnitude:g}"] = mean_log_loss(probabilities, all_labels)
        rows.append(row)
    return rows


def mean_log_loss(probabilities: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """Return the mean negative log-probability of the true class."""
    return float(-np.log(probabilities[np.arange(len(labels)), labels]).mean())


def _inputs(val_data: Dataset, recipe: Recipe, first: Recipe, magnitude: float) -> Tensor:
    if magnitude == 0:
        return eval_inputs(val_data.frames, recipe.preprocessing)
    # Augmentation depends on the seed and on the number of epochs of a recipe: all runs use those of the first recipe.
    strength = Augmentation(geometry=magnitude, intensity=magnitude, texture=magnitude, graphics=magnitude)
    update = {"preprocessing": recipe.preprocessing, "augmentation": strength, "seed": 0}
    return augmented_inputs(val_data, first.model_copy(update=update), AUGMENTED_PER_FRAME)
