"""Comparison of runs on the validation patients, to choose between runs without the test split.

Most networks classify every validation frame correctly. Augmented frames still separate networks, and they stand in for
scanners that are not in the data. Each run is scored on the original frames and on two magnitudes of augmentation.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from model_build.data.datasets import augmented_inputs, eval_inputs
from model_build.data.formats import read_data
from model_build.data.frames import load_frames
from model_build.data.labels import main_planes
from model_build.data.records import Dataset, planes_of
from model_build.evaluation.metrics import calibration_error, top_k_rate
from model_build.evaluation.selective import risk_coverage
from model_build.evaluation.tables import Row
from model_build.models.inference import predict
from model_build.recipe import Augmentation, Recipe
from model_build.run_dir import check_finished, read_model, read_planes, read_recipe, read_split, read_split_text

AUGMENTED_PER_FRAME = 6
_RISK = 0.01  # error rate of the answered views at which abstention is compared


def _all(magnitude: float, **others: float) -> Augmentation:
    return Augmentation(geometry=magnitude, intensity=magnitude, texture=magnitude, graphics=magnitude, **others)


VIEWS = {"0": None, "1": _all(1), "1.5": _all(1.5), "wide": _all(1, wide_field=2, low_signal=2)}
"""What each validation frame is scored on, by the suffix of the columns: as served, and augmented views."""


def validate(runs: Sequence[Path], data: Path, others: Mapping[str, nn.Module] | None = None) -> list[Row]:
    """Return one row per run: what `_scores` measures, on each of `VIEWS`.

    Every run gets the same augmentation of the same frames, with its own preprocessing. `others` are more networks by
    name, each with a row of its own: gray levels [N, 1, S, S], with the first run's preprocessing, to log-probabilities
    [N, K], which have no energy.

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
    networks: list[tuple[str, nn.Module]] = [(run.name, read_model(run)) for run in runs]
    networks += (others or {}).items()
    recipes += recipes[:1] * (len(networks) - len(runs))
    val = read_split(runs[0], read_data(data)).val
    val_data, labels = Dataset(load_frames(val), val), planes_of(val)
    names = [plane.id for plane in read_planes(runs[0])]
    main = np.isin(labels, main_planes(names) or range(len(names)))
    rows: list[Row] = []
    for (name, model), recipe in zip(networks, recipes, strict=True):
        row: Row = {"run": name, "frames": len(val), "main_frames": int(main.sum())}
        for suffix, strength in VIEWS.items():
            inputs = eval_inputs(val_data.frames, recipe.preprocessing)
            if strength is not None:
                inputs = _augmented(val_data, recipe, recipes[0], strength)
            repeats = len(inputs) // len(val)
            scores = _scores(predict(model, inputs), np.tile(labels, repeats), np.tile(main, repeats))
            if others and name in others:
                scores["main_abstained"] = float("nan")
            row |= {f"{score}_at_{suffix}": value for score, value in scores.items()}
        rows.append(row)
    return rows


def _scores(logits: Tensor, labels: NDArray[np.int64], main: NDArray[np.bool_]) -> dict[str, float]:
    """Return top-1, top-1 of the main planes, log loss and calibration error before temperature scaling.

    `main_abstained` is the share of views of the main planes with the highest energy that must be left out so that at
    most one in a hundred of the others is wrong.
    """
    probabilities, evidence = logits.softmax(1).numpy(), logits.logsumexp(1).numpy()[main]
    risk = risk_coverage(evidence, probabilities[main].argmax(1) == labels[main])
    answered = np.flatnonzero(risk <= _RISK)
    return {
        "top1": top_k_rate(probabilities, labels),
        "main_top1": top_k_rate(probabilities[main], labels[main]),
        "loss": mean_log_loss(probabilities, labels),
        "calibration_error": calibration_error(probabilities, labels),
        "main_abstained": 1 - (float(answered[-1] + 1) if len(answered) else 0.0) / len(risk),
    }


def mean_log_loss(probabilities: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """Return the mean negative log-probability of the true class."""
    return float(-np.log(probabilities[np.arange(len(labels)), labels]).mean())


def augmented_views(data: Dataset, recipe: Recipe) -> Tensor:
    """Return the views that the columns with the suffix `1` are measured on, uint8 [views * N, 1, S, S]."""
    return _augmented(data, recipe, recipe, _all(1))


def _augmented(val_data: Dataset, recipe: Recipe, first: Recipe, strength: Augmentation) -> Tensor:
    # Augmentation depends on the seed and on the number of epochs of a recipe: all runs use those of the first recipe.
    update = {"preprocessing": recipe.preprocessing, "augmentation": strength, "seed": 0}
    return augmented_inputs(val_data, first.model_copy(update=update), AUGMENTED_PER_FRAME)
