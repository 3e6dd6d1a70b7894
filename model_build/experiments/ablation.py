"""Ablation: backbones, attention steps and heads with the same training, compared on the validation frames."""

import itertools
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.utils.benchmark import Timer
from torch.utils.flop_counter import FlopCounterMode

from model_build.data.records import planes_of
from model_build.data.splits import Split, make_split
from model_build.evaluation.metrics import top_k_rate
from model_build.evaluation.tables import Row
from model_build.evaluation.validation import AUGMENTED_PER_FRAME, mean_log_loss
from model_build.experiments.holdout import Study
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

    Each row holds top-1 (mean, minimum and maximum over seeds), log loss, and the cost of the network.
    """
    networks = []
    for backbone, attention, layers in itertools.product(grid.backbones, grid.attentions, grid.mlp_layers):
        names = {"backbone": backbone, "attention": attention, "mlp_layers": layers}
        networks.append(Network.model_validate(recipe.network.model_dump() | names))
        check_architecture(networks[-1])  # refuse an unknown name before anything is trained
    study = Study(data, out, device)
    split = make_split(study.data, recipe)
    rows: list[Row] = []
    for network in networks:
        row: Row = network.model_dump(include={"backbone", "attention", "mlp_layers"}) | {"seeds": grid.seeds}
        row |= _score_seeds(recipe.model_copy(update={"network": network}), study, split, grid.seeds)
        row |= _cost(create_classifier(network, len(study.data.planes)), recipe.preprocessing.size)
        rows.append(row)
    return rows


def _score_seeds(recipe: Recipe, study: Study, split: Split, seeds: int) -> Row:
    network, labels, count = recipe.network, planes_of(split.val), len(split.val)
    augmented_labels = np.tile(labels, AUGMENTED_PER_FRAME)
    top1, augmented_top1, losses = [], [], []
    for seed in range(seeds):
        name = f"{network.backbone}-{network.attention}-{network.mlp_layers}-{seed}"
        variant = recipe.model_copy(update={"seed": seed})
        probabilities = study.predict(variant, split.train, split.val, name, augmented=AUGMENTED_PER_FRAME)
        top1.append(top_k_rate(probabilities[:count], labels))
        augmented_top1.append(top_k_rate(probabilities[count:], augmented_labels))
        losses.append(mean_log_loss(probabilities[count:], augmented_labels))
    return {
        "top1": statistics.mean(top1),
        "augmented_top1": statistics.mean(augmented_top1),
        "augmented_top1_min": min(augmented_top1),
        "augmented_top1_max": max(augmented_top1),
        "augmented_loss": statistics.mean(losses),
    }


def _cost(model: PlaneClassifier, size: int) -> Row:
    """Return the cost of one frame; compare only milliseconds (the median in PyTorch) of the same call."""
    timer = Timer(
        "model(frame)", globals={"model": model.eval(), "frame": torch.zeros(1, 1, size, size)}, num_threads=1
    )
    with torch.inference_mode():
        milliseconds = timer.blocked_autorange().median * 1000
    return {
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "multiply_adds": multiply_adds(model, size),
        "milliseconds_one_thread": milliseconds,
    }


def multiply_adds(model: PlaneClassifier, size: int) -> int:
    """Return the multiply-adds of one frame's forward pass, as PyTorch counts them."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.eval()(torch.zeros(1, 1, size, size))
    return int(counter.get_total_flops()) // 2
