"""Training: fine-tune the pretrained network on varied views, keep a moving average of the weights.

The run is a function of the recipe, the records and the weights: the same seed gives the same run, and a run that was
interrupted and resumed gives the same weights as one that was not.
"""

import csv
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader, WeightedRandomSampler
from tqdm import tqdm

from model_build.classifier import PlaneClassifier, pretrained_classifier
from model_build.data import PLANES, Record
from model_build.predict import predict
from model_build.recipe import Recipe, Training
from model_build.run_folder import write_recipe
from model_build.views import TrainingViews, balance_weights, served_views

Frames = Sequence[NDArray[np.uint8]]
LOG_COLUMNS = ("epoch", "rate", "train_loss", "validation_loss", "validation_top1", "validation_macro_recall")


def train(
    recipe: Recipe,
    train_set: tuple[Frames, Sequence[Record]],
    validation_set: tuple[Frames, Sequence[Record]],
    folder: Path,
    *,
    resume: bool = False,
    weights: Path | None = None,
    workers: int = 0,
    device: str = "cpu",
) -> PlaneClassifier:
    """Train one classifier.

    Parameters
    ----------
    train_set, validation_set
        Grey frames uint8 [H, W] and their records. Validation is only logged: nothing is chosen by it here.
    folder
        Where `log.csv`, the recipe and `checkpoint.pt`, written after each epoch, go.
    resume
        Go on from the folder's checkpoint, if it holds one.
    weights, workers, device
        The backbone's weights file; processes that make views; where to compute.

    Returns
    -------
    The averaged model, in evaluation mode, on the CPU.
    """
    write_recipe(folder, recipe)
    torch.manual_seed(0)  # runs of any seed start alike, so that their weights can be averaged
    model = pretrained_classifier(recipe.network, len(PLANES), weights).to(device)
    model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # depthwise convolutions are about twice as fast so
    freeze(model, recipe.training.frozen_blocks)
    views = TrainingViews(*train_set, recipe)
    sampler = WeightedRandomSampler(balance_weights(train_set[1], recipe.training.balance).tolist(), len(views))
    loader = DataLoader(views, recipe.training.batch, sampler=sampler, drop_last=True, num_workers=workers)
    run = Run(model, recipe.training, steps=len(loader))
    first = run.load(folder / "checkpoint.pt") if resume and (folder / "checkpoint.pt").exists() else 0
    held_views = served_views(validation_set[0], recipe.preprocessing)
    held_planes = torch.tensor([record.plane for record in validation_set[1]])
    for epoch in range(first, recipe.training.epochs):
        views.epoch = epoch
        torch.manual_seed(1000 * recipe.seed + epoch)  # order and dropout of this epoch
        loss = run.epoch(loader, f"epoch {epoch + 1}/{recipe.training.epochs}", device)
        row = (epoch + 1, run.rate, loss, *_score(predict(run.averaged, held_views, device), held_planes))
        _log(folder / "log.csv", row)
        run.save(folder / "checkpoint.pt", epoch + 1)
    return run.averaged.cpu().eval()


class Run:
    """The state that training moves: weights, their average, optimiser and schedule."""

    def __init__(self, model: PlaneClassifier, training: Training, steps: int) -> None:
        self.model, self.training = model, training
        average = get_ema_multi_avg_fn(training.ema_decay)  # type: ignore[no-untyped-call]
        self._average = AveragedModel(model, multi_avg_fn=average, use_buffers=True)
        groups = [
            {"params": [p for p in model.backbone.parameters() if p.requires_grad], "lr": training.backbone_rate},
            {"params": list(model.head.parameters()), "lr": training.head_rate},
        ]
        self.optimizer = torch.optim.AdamW(groups, weight_decay=training.weight_decay)
        total = steps * training.epochs
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer, lambda step: cosine(step, total, training.warmup)
        )
        self.criterion = nn.CrossEntropyLoss(label_smoothing=training.label_smoothing)

    @property
    def averaged(self) -> PlaneClassifier:
        """The averaged model: the one that is kept."""
        return cast(PlaneClassifier, self._average.module)

    @property
    def rate(self) -> float:
        """The head's learning rate as it stands."""
        return float(self.schedule.get_last_lr()[-1])

    def epoch(self, loader: DataLoader[Any], title: str, device: str) -> float:
        """One pass over the loader; returns the mean loss."""
        set_training(self.model, self.training.frozen_blocks)
        losses = []
        with tqdm(loader, desc=title, unit="batch", disable=None, leave=False) as bar:
            for frames, planes in bar:
                with torch.autocast(device, torch.bfloat16, enabled=has_bfloat16(device)):
                    logits = self.model(frames.to(device, torch.float32, memory_format=torch.channels_last))
                loss = self.criterion(logits.float(), planes.to(device))
                self.optimizer.zero_grad(set_to_none=True)
                loss.backward()
                nn.utils.clip_grad_norm_(self.model.parameters(), 5.0)
                self.optimizer.step()
                self.schedule.step()
                self._average.update_parameters(self.model)
                losses.append(loss.item())
                bar.set_postfix(loss=f"{np.mean(losses[-20:]):.3f}")
        return float(np.mean(losses))

    def save(self, path: Path, epoch: int) -> None:
        """Write a checkpoint whole or not at all."""
        state = {name: part.state_dict() for name, part in self._parts().items()} | {"epoch": epoch}
        torch.save(state, path.with_suffix(".new"))
        path.with_suffix(".new").replace(path)

    def load(self, path: Path) -> int:
        """Take up a checkpoint; returns how many epochs it has behind it."""
        state = torch.load(path, weights_only=True)
        for name, part in self._parts().items():
            part.load_state_dict(state[name])
        return int(state["epoch"])

    def _parts(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "average": self._average,
            "optimizer": self.optimizer,
            "schedule": self.schedule,
        }


def freeze(model: PlaneClassifier, blocks: int) -> None:
    """Fix the stem and the first `blocks` blocks at their ImageNet weights; 0 leaves everything trainable."""
    for part in _frozen(model, blocks):
        part.requires_grad_(False)


def set_training(model: PlaneClassifier, frozen_blocks: int) -> None:
    """Training mode, but for the frozen part, whose BatchNorm statistics stay as well."""
    model.train()
    for part in _frozen(model, frozen_blocks):
        part.eval()


def _frozen(model: PlaneClassifier, blocks: int) -> list[nn.Module]:
    if blocks == 0:
        return []
    backbone = model.backbone
    return [backbone.get_submodule("_conv_stem"), backbone.get_submodule("_bn0"), *backbone.blocks[:blocks]]


def cosine(step: int, total: int, warmup: float) -> float:
    """Share of the peak rate at a step: a linear rise over the `warmup` share of all steps, then half a cosine."""
    rise = max(1, round(total * warmup))
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - rise) / max(1, total - rise))))


def has_bfloat16(device: str) -> bool:
    """Whether half-width arithmetic is faster than full on this device: by hardware, not by emulation."""
    supported = torch.cuda.is_bf16_supported if device.startswith("cuda") else torch.cpu._is_amx_tile_supported
    return bool(supported())


def _score(logits: Tensor, planes: Tensor) -> tuple[float, float, float]:
    hits = (logits.argmax(1) == planes).double()
    recalls = [hits[planes == plane].mean() for plane in sorted(set(planes.tolist()))]
    loss = nn.functional.cross_entropy(logits, planes)
    return float(loss), float(hits.mean()), float(torch.stack(recalls).mean())


def _log(path: Path, row: tuple[float, ...]) -> None:
    """Append one epoch; a repeated epoch, after a resume, replaces what came after it."""
    kept: list[list[str]] = []
    if path.exists():
        with path.open(newline="") as lines:
            kept = [old for old in list(csv.reader(lines))[1:] if int(old[0]) < row[0]]
    with path.open("w", newline="") as lines:
        csv.writer(lines).writerows([LOG_COLUMNS, *kept, [row[0], *(f"{value:.6g}" for value in row[1:])]])
