"""Training: fine-tune the pretrained network on varied views, keep a moving average of the weights.

The run is a function of the recipe, the records and the weights: the same seed gives the same run, and a run that was
interrupted and resumed gives the same weights as one that was not.
"""

import math
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from itertools import islice
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader
from tqdm import tqdm

from model_build.data.datasets import AugmentedDataset, eval_inputs
from model_build.data.records import PLANES, Record, planes_of
from model_build.data.samplers import BalancedBatchSampler
from model_build.models.inference import predict
from model_build.models.multi_task import MultiTaskNetwork, mean_loss, pretrained_network
from model_build.recipe import Recipe
from model_build.run_dir import write_planes, write_recipe
from model_build.training.distributed import BatchNormStatistics, Distributed, MicroBatches, micro_batch_seed
from model_build.training.logger import RunLogger
from service.schemas.manifest import Plane

Frames = Sequence[NDArray[np.uint8]]
Batch = tuple[Tensor, Tensor, Tensor]  # frames uint8 [N, 1, S, S], planes and sub-planes int64 [N]


def train(
    recipe: Recipe,
    train_set: tuple[Frames, Sequence[Record]],
    validation_set: tuple[Frames, Sequence[Record]],
    folder: Path,
    *,
    planes: Sequence[Plane] = PLANES,
    resume: bool = False,
    weights: Path | None = None,
    workers: int = 0,
    device: str = "cpu",
    distributed: Distributed | None = None,
    tensorboard: bool = False,
) -> MultiTaskNetwork:
    """Train one network; where the recipe wants sub-planes and records tell some, with a head for them.

    Parameters
    ----------
    train_set, validation_set
        Gray frames uint8 [H, W] and their records. Validation is only logged, and only of the planes: nothing is chosen
        by it here.
    folder
        Where `log.csv`, the recipe, the planes and `checkpoint.pt`, written after each epoch, go.
    planes
        What the records' numbers mean, in order.
    resume
        Go on from the folder's checkpoint, if it holds one.
    weights, workers, device
        The backbone's weights file; processes that make views; where to compute.
    team
        The processes that train together, instead of `device` alone.
    tensorboard
        Write for TensorBoard, too.

    Returns
    -------
    The averaged network, in evaluation mode, on the CPU.
    """
    distributed = distributed or Distributed(device)
    if distributed.is_main:
        write_recipe(folder, recipe)
        write_planes(folder, planes)
    torch.manual_seed(0)  # runs of any seed start alike, so that their weights can be averaged
    finer = recipe.sub_planes is not None and any(record.sub_plane is not None for record in train_set[1])
    network = pretrained_network(recipe.network, len(planes), weights, sub_planes=finer).to(distributed.device)
    network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # depthwise convolutions are about twice as fast so
    freeze(network, recipe.training.frozen_blocks)
    views = AugmentedDataset(*train_set, recipe)
    loader = make_loader(views, train_set[1], recipe, distributed, workers)
    run = Trainer(network, recipe, steps=len(loader) // recipe.training.grad_accum_steps, distributed=distributed)
    first = run.load(folder / "checkpoint.pt") if resume and (folder / "checkpoint.pt").exists() else 0
    journal = RunLogger(folder, recipe.training.epochs, first, tensorboard=tensorboard) if distributed.is_main else None
    val_inputs = eval_inputs(validation_set[0], recipe.preprocessing) if distributed.is_main else torch.empty(0)
    val_planes = torch.from_numpy(planes_of(validation_set[1]))
    for epoch in range(first, recipe.training.epochs):
        views.epoch = epoch
        torch.manual_seed(1000 * recipe.seed + epoch)  # order and dropout of this epoch
        loss = run.epoch(loader, epoch, recipe.seed, journal)
        if journal:
            scores = _score(predict(run.averaged.classifier, val_inputs, distributed.device), val_planes)
            journal.add((epoch + 1, run.rate, loss, *scores))
            run.save(folder / "checkpoint.pt", epoch + 1)
    return run.averaged.cpu().eval()


def make_loader(
    views: AugmentedDataset, records: Sequence[Record], recipe: Recipe, distributed: Distributed, workers: int
) -> DataLoader[Any]:
    """The parts of the batches that a process computes; views are made ahead by `workers` processes."""
    training, finer = recipe.training, recipe.sub_planes
    order = BalancedBatchSampler(records, training.balance, training.batch_size, finer.stretched if finer else 0)
    parts = MicroBatches(order, len(order), order.batch, distributed, training.grad_accum_steps)
    ahead = 4 if workers else None
    pinned = distributed.device.startswith("cuda")
    return DataLoader(views, batch_sampler=parts, num_workers=workers, prefetch_factor=ahead, pin_memory=pinned)


class Trainer:
    """The state that training moves: weights, their average, optimizer and schedule."""

    def __init__(self, network: MultiTaskNetwork, recipe: Recipe, steps: int, distributed: Distributed) -> None:
        training = recipe.training
        self.network, self.recipe, self.training, self.distributed, self.steps = (
            network,
            recipe,
            training,
            distributed,
            steps,
        )
        self._parallel: nn.Module = network
        if distributed.size > 1:  # NormStatistics sees to the buffers
            self._parallel = DistributedDataParallel(network, broadcast_buffers=False)
        average = get_ema_multi_avg_fn(training.ema_decay)  # type: ignore[no-untyped-call]
        self._average = AveragedModel(network, multi_avg_fn=average, use_buffers=True)
        backbone = network.classifier.backbone
        heads = [p for name, p in network.named_parameters() if not name.startswith("classifier.backbone.")]
        groups = [
            {"params": [p for p in backbone.parameters() if p.requires_grad], "lr": training.backbone_lr},
            {"params": heads, "lr": training.head_lr},
        ]
        self.optimizer = torch.optim.AdamW(groups, weight_decay=training.weight_decay)
        total = steps * training.epochs
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer, lambda step: cosine(step, total, training.warmup_fraction)
        )

    @property
    def averaged(self) -> MultiTaskNetwork:
        """The averaged network: the one that is kept."""
        return cast(MultiTaskNetwork, self._average.module)

    @property
    def rate(self) -> float:
        """The head's learning rate as it stands."""
        return float(self.schedule.get_last_lr()[-1])

    def epoch(self, loader: DataLoader[Any], number: int, seed: int, journal: RunLogger | None = None) -> float:
        """One pass over the loader; returns the mean loss."""
        set_training(self.network, self.training.frozen_blocks)
        losses, parts = [], iter(loader)
        title = f"epoch {number + 1}/{self.training.epochs}"
        with tqdm(total=self.steps, desc=title, unit="batch", disable=None if journal else True, leave=False) as bar:
            for step in range(self.steps):
                losses.append(self.step(islice(parts, self.training.grad_accum_steps), (seed, number, step)))
                left = journal.left(number + (step + 1) / self.steps) if journal else ""
                bar.set_postfix_str(f"loss {np.mean(losses[-20:]):.3f}, {left}", refresh=False)
                bar.update()
        return float(np.mean(losses))

    def step(self, parts: Iterable[Batch], key: tuple[int, int, int]) -> float:
        """One step of the optimizer by the parts of a batch; returns their mean loss. `key` names the step."""
        each, size = self.training.grad_accum_steps, self.distributed.size
        whole = each * size == 1
        statistics = None if whole else BatchNormStatistics(self.network)
        losses = []
        self.optimizer.zero_grad(set_to_none=True)
        for part, batch in enumerate(parts):
            if statistics:
                torch.manual_seed(micro_batch_seed(*key, self.distributed.rank * each + part))
            with nullcontext() if size == 1 or part == each - 1 else self._parallel.no_sync():  # type: ignore[operator]
                loss = self._loss(*(each_of.to(self.distributed.device, non_blocking=True) for each_of in batch))
                torch.autograd.backward(loss / each)
            losses.append(loss.detach())
            if statistics:
                statistics.end_part()
        if statistics:
            statistics.end_batch(self.distributed, each)
        nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self.optimizer.step()
        self.schedule.step()
        self._average.update_parameters(self.network)
        return float(self.distributed.all_reduce(torch.stack(losses).mean()) / size)

    def _loss(self, frames: Tensor, planes: Tensor, sub_planes: Tensor) -> Tensor:
        device, smoothing = self.distributed.device, self.training.label_smoothing
        with torch.autocast(device.partition(":")[0], torch.bfloat16, enabled=has_fast_bfloat16(device)):
            logits, finer = self._parallel(frames.to(torch.float32, memory_format=torch.channels_last))
        loss = mean_loss(logits, planes, smoothing)
        if finer is not None and self.recipe.sub_planes is not None:
            loss = loss + self.recipe.sub_planes.weight * mean_loss(finer, sub_planes, smoothing)
        return loss

    def save(self, path: Path, epoch: int) -> None:
        """Write a checkpoint whole or not at all."""
        state = {name: part.state_dict() for name, part in self._parts().items()} | {"epoch": epoch}
        torch.save(state, path.with_suffix(".new"))
        path.with_suffix(".new").replace(path)

    def load(self, path: Path) -> int:
        """Take up a checkpoint; returns how many epochs it has behind it."""
        state = torch.load(path, weights_only=True, map_location="cpu")
        for name, part in self._parts().items():
            part.load_state_dict(state[name])
        return int(state["epoch"])

    def _parts(self) -> dict[str, Any]:
        return {
            "network": self.network,
            "average": self._average,
            "optimizer": self.optimizer,
            "schedule": self.schedule,
        }


def freeze(network: MultiTaskNetwork, blocks: int) -> None:
    """Fix the stem and the first `blocks` blocks at their ImageNet weights; 0 leaves everything trainable."""
    for part in _frozen(network, blocks):
        part.requires_grad_(False)


def set_training(network: MultiTaskNetwork, frozen_blocks: int) -> None:
    """Training mode, but for the frozen part, whose BatchNorm statistics stay as well."""
    network.train()
    for part in _frozen(network, frozen_blocks):
        part.eval()


def _frozen(network: MultiTaskNetwork, blocks: int) -> list[nn.Module]:
    if blocks == 0:
        return []
    backbone = network.classifier.backbone
    return [backbone.get_submodule("_conv_stem"), backbone.get_submodule("_bn0"), *backbone.blocks[:blocks]]


def cosine(step: int, total: int, warmup_fraction: float) -> float:
    """Share of the peak rate at a step: a linear rise over the `warmup` share of all steps, then half a cosine."""
    rise = max(1, round(total * warmup_fraction))
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - rise) / max(1, total - rise))))


def has_fast_bfloat16(device: str) -> bool:
    """Whether half-width arithmetic is faster than full on this device: by hardware, not by emulation."""
    supported = torch.cuda.is_bf16_supported if device.startswith("cuda") else torch.cpu._is_amx_tile_supported
    return bool(supported())


def _score(logits: Tensor, planes: Tensor) -> tuple[float, float, float]:
    hits = (logits.argmax(1) == planes).double()
    recalls = [hits[planes == plane].mean() for plane in sorted(set(planes.tolist()))]
    loss = nn.functional.cross_entropy(logits, planes)
    return float(loss), float(hits.mean()), float(torch.stack(recalls).mean())
