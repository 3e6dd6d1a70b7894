"""Ablation: backbones, attention steps and heads with the same training, compared on the validation frames."""

import itertools
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from model_build.data.records import Record, planes_of
from model_build.data.splits import make_split
from model_build.evaluation.metrics import top_k
from model_build.evaluation.tables import Row
from model_build.evaluation.validation import AUGMENTED_PER_FRAME, mean_log_loss
from model_build.experiments.holdout import HoldOut, Study
from model_build.models.classifier import Network, PlaneClassifier, check_architecture, create_classifier
from model_build.recipe import Recipe


@dataclass(frozen=True)
class Grid:
    """The combinations to train, each with `seeds` seeds."""

    backbones: Sequence[str]
    attentions: Sequence[str]
    mlp_layers: Sequence[int]
    seeds: int


def ablate(recipe: Recipe, data: Path, out: Path, grid: Grid, device: str) -> list[Row]:
    """Train every combination of a grid with every seed and score it on original and augmented validation frames.

    Returns
    -------
    One row per combination: top-1 (mean, minimum and maximum over seeds), log loss, and the cost of the network.
    """
    variants = _variants(recipe, grid)
    study = Study.open(data, out, device)
    split = make_split(study.data, recipe)
    holdout = HoldOut(study, [*split.train, *split.val])
    rows: list[Row] = []
    for variant in variants:
        network = variant.network
        names: Row = {
            "backbone": network.backbone,
            "attention": network.attention,
            "mlp_layers": network.mlp_layers,
            "seeds": grid.seeds,
        }
        scores = _score_seeds(variant, holdout, split.train, split.val, grid.seeds)
        model = create_classifier(network, len(study.data.planes))
        rows.append({**names, **scores, **_cost(model, recipe.preprocessing.size)})
    return rows


def _variants(recipe: Recipe, grid: Grid) -> list[Recipe]:
    """Return a recipe per combination; raise ValueError for an unknown name before anything is trained."""
    variants = []
    for backbone, attention, layers in itertools.product(grid.backbones, grid.attentions, grid.mlp_layers):
        names = {"backbone": backbone, "attention": attention, "mlp_layers": layers}
        network = Network.model_validate(recipe.network.model_dump() | names)
        check_architecture(network)
        variants.append(recipe.model_copy(update={"network": network}))
    return variants


def _score_seeds(recipe: Recipe, holdout: HoldOut, train: list[Record], val: list[Record], seeds: int) -> Row:
    network, labels = recipe.network, planes_of(val)
    top1, augmented_top1, losses = [], [], []
    for seed in range(seeds):
        name = f"{network.backbone}-{network.attention}-{network.mlp_layers}-{seed}"
        variant = recipe.model_copy(update={"seed": seed})
        probabilities = holdout.predict(variant, train, val, name, augmented=AUGMENTED_PER_FRAME)
        hits = top_k(probabilities, np.tile(labels, 1 + AUGMENTED_PER_FRAME), 1)
        top1.append(float(hits[: len(val)].mean()))
        augmented_top1.append(float(hits[len(val) :].mean()))
        losses.append(mean_log_loss(probabilities[len(val) :], np.tile(labels, AUGMENTED_PER_FRAME)))
    return {
        "top1": statistics.mean(top1),
        "augmented_top1": statistics.mean(augmented_top1),
        "augmented_top1_min": min(augmented_top1),
        "augmented_top1_max": max(augmented_top1),
        "augmented_loss": statistics.mean(losses),
    }


def _cost(model: PlaneClassifier, size: int) -> Row:
    return {
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "multiply_adds": multiply_adds(model, size),
        "milliseconds_one_thread": latency(model, size),
    }


def multiply_adds(model: PlaneClassifier, size: int) -> int:
    """Return the multiply-adds of one frame's forward pass, as PyTorch counts them."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.eval()(torch.zeros(1, 1, size, size))
    return int(counter.get_total_flops()) // 2


def latency(model: PlaneClassifier, size: int, runs: int = 20) -> float:
    """Return the median milliseconds per frame in PyTorch on one thread. Compare only values of the same call."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    frames, times = torch.zeros(1, 1, size, size), []
    with torch.inference_mode():
        for _ in range(runs):
            start = time.perf_counter()
            model.eval()(frames)
            times.append(time.perf_counter() - start)
    torch.set_num_threads(threads)
    return statistics.median(times) * 1000
