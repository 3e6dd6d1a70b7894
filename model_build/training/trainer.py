"""Fine-tune a pretrained network on augmented frames and keep a moving average of its weights.

The result is a function of the recipe, the records and the pretrained weights: the same seed gives the same weights,
and an interrupted and resumed run gives the same weights as an uninterrupted one.
"""

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader
from tqdm import tqdm

from model_build.data.datasets import IGNORE_INDEX, AugmentedDataset, eval_inputs
from model_build.data.labels import PLANES, SUB_PLANES
from model_build.data.records import Dataset, planes_of
from model_build.data.samplers import BalancedBatchSampler
from model_build.models.inference import predict
from model_build.models.multi_task import MultiTaskNetwork, create_network
from model_build.models.precision import autocast
from model_build.recipe import Recipe
from model_build.run_dir import CHECKPOINT, LOG, start_run
from model_build.training.distillation import PROBE, Teacher, TeacherFiles, read_teacher, start_from
from model_build.training.distributed import BatchNormStatistics, Distributed, MicroBatchSampler, micro_batch_seed
from model_build.training.logger import RunLogger, epoch_metrics
from model_build.training.losses import multi_task_loss
from model_build.training.schedule import make_optimizer
from service.schemas.manifest import Plane

MAX_GRADIENT_NORM = 5.0
_PREFETCHED = 4  # micro-batches per loader process

Batch = Sequence[Tensor]  # frames uint8 [N, 1, S, S], planes and sub-planes int64 [N]


@dataclass(frozen=True)
class RunOptions:
    """How one run is executed; the recipe decides what it computes."""

    distributed: Distributed = field(default_factory=Distributed)
    workers: int = 0  # loader processes per training process; 0 augments in the training process
    resume: bool = False  # continue from the run's checkpoint, if it has one
    weights: Path | None = None  # a file of backbone weights, where they are not in an installed wheel
    start: Path | None = None  # a finished run with the weights to start from, instead of ImageNet weights
    teacher: TeacherFiles | None = None  # for a recipe that has a distillation
    cache: Path | None = None  # a folder for decoded frames, see `open_frames`
    drop_near_duplicates: bool = False  # instead of refusing a data set with a picture on two sides of the split
    tensorboard: bool = False


DEFAULT_OPTIONS = RunOptions()


class Trainer:
    """Train one network: the plane classifier and, where the recipe and the labels have sub-planes, their head.

    `run` is the folder of the run: `train` writes the recipe, the planes, the log and a checkpoint per epoch into it.
    Validation metrics are logged only; no checkpoint is selected by them.
    """

    def __init__(
        self,
        recipe: Recipe,
        train_data: Dataset,
        val_data: Dataset,
        run: Path,
        planes: Sequence[Plane] = PLANES,
        options: RunOptions = DEFAULT_OPTIONS,
    ) -> None:
        self.recipe, self.run, self.planes, self.options = recipe, run, planes, options
        self.distributed, self.val_data = options.distributed, val_data
        settings, device = recipe.training, self.distributed.device

        # Network. Runs of every seed start with the same heads, so that their weights can be averaged. Channels-last
        # memory makes depthwise convolutions about twice as fast.
        torch.manual_seed(0)
        labeled = any(record.sub_plane is not None for record in train_data.records)
        counts = len(planes), len(SUB_PLANES) if recipe.sub_planes and labeled else 0
        pretrained = options.start is None
        self.network = create_network(recipe.network, *counts, pretrained=pretrained, weights=options.weights)
        if options.start is not None:
            start_from(self.network, options.start, recipe)
        self.network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.network.freeze(settings.frozen_blocks)
        if settings.fixed_norms:
            self.network.fix_norms()

        # The teacher of a distillation; its probe is fitted once and kept in the run's folder.
        self.teacher: Teacher | None = None
        if recipe.distillation is not None:
            self.teacher = read_teacher(options.teacher, recipe, train_data, run / PROBE).to(device)

        # Data: augmented frames in balanced batches, each divided into the micro-batches of all processes.
        self.augmented = AugmentedDataset(train_data, recipe)
        self.loader = self._make_loader(train_data)
        self.steps = len(self.loader) // settings.grad_accum_steps  # of the optimizer, per epoch

        # Data-parallel gradients; BatchNormStatistics averages the buffers itself.
        parallel = self.distributed.world_size > 1
        self._parallel = DistributedDataParallel(self.network, broadcast_buffers=False) if parallel else self.network

        # Moving average of the weights, optimizer and learning-rate schedule.
        average = get_ema_multi_avg_fn(settings.ema_decay)  # type: ignore[no-untyped-call]
        self._average = AveragedModel(self.network, multi_avg_fn=average, use_buffers=True)
        self.averaged = cast(MultiTaskNetwork, self._average.module)  # the result of the training
        self.optimizer, self.schedule = make_optimizer(self.network, settings, self.steps)
        self._state: dict[str, Any] = {"network": self.network, "average": self._average}
        self._state |= {"optimizer": self.optimizer, "schedule": self.schedule}

    def _make_loader(self, data: Dataset) -> "DataLoader[Any]":
        settings, sub_planes, workers = self.recipe.training, self.recipe.sub_planes, self.options.workers
        stretched = sub_planes.stretched if sub_planes else 0
        rows = BalancedBatchSampler(data.records, settings.balance, settings.batch_size, stretched)
        return DataLoader(
            self.augmented,
            batch_sampler=MicroBatchSampler(rows, rows.batch_size, self.distributed, settings.grad_accum_steps),
            num_workers=workers,
            prefetch_factor=_PREFETCHED if workers else None,
            pin_memory=self.distributed.device.startswith("cuda"),
        )

    def train(self) -> MultiTaskNetwork:
        """Train all epochs and return the averaged network, in evaluation mode, on the CPU."""
        recipe, settings, is_main = self.recipe, self.recipe.training, self.distributed.is_main

        # Start the run's folder, or continue after the epoch of its checkpoint.
        if is_main:
            start_run(self.run, recipe, self.planes)
            if self.teacher is not None:
                self.teacher.write_probe(self.run / PROBE)
        resume = self.options.resume and (self.run / CHECKPOINT).exists()
        first = self.load_checkpoint() if resume else 0

        # Only the main process validates and logs.
        logger, val_inputs = None, torch.empty(0)
        if is_main:
            logger = RunLogger(self.run / LOG, settings.epochs, first, tensorboard=self.options.tensorboard)
            val_inputs = eval_inputs(self.val_data.frames, recipe.preprocessing)

        for epoch in range(first, settings.epochs):
            # Drawing, augmentation and dropout depend on seed and epoch only: a resumed run repeats an unbroken one.
            self.augmented.epoch = epoch
            torch.manual_seed(1000 * recipe.seed + epoch)
            self.network.train()
            micro_batches = iter(self.loader)

            # One pass over the data, one optimizer step per batch.
            losses: list[float] = []
            title = f"epoch {epoch + 1}/{settings.epochs}"
            with tqdm(total=self.steps, desc=title, disable=None if logger else True, leave=False) as progress:
                for step in range(self.steps):
                    losses.append(self.step(islice(micro_batches, settings.grad_accum_steps), epoch, step))
                    eta = logger.eta(epoch + (step + 1) / self.steps) if logger else ""
                    progress.set_postfix_str(f"loss {np.mean(losses[-20:]):.3f}, {eta}", refresh=False)
                    progress.update()

            # Validate the averaged weights, log, and write a checkpoint.
            if logger:
                logits = predict(self.averaged.classifier, val_inputs, self.distributed.device)
                head_lr = float(self.schedule.get_last_lr()[-1])
                logger.write(epoch + 1, epoch_metrics(head_lr, losses, logits, planes_of(self.val_data.records)))
                self.save_checkpoint(epoch + 1)
        return self.averaged.cpu().eval()

    def step(self, micro_batches: Iterable[Batch], epoch: int, step: int) -> float:
        """Take one optimizer step on a batch, given as the micro-batches of this process; return the mean loss."""
        accum, world_size = self.recipe.training.grad_accum_steps, self.distributed.world_size
        device = self.distributed.device
        statistics = BatchNormStatistics(self.network) if accum * world_size > 1 else None
        losses = []
        self.optimizer.zero_grad(set_to_none=True)
        for number, batch in enumerate(micro_batches):
            # Each micro-batch of the batch has its own dropout, whichever process computes it.
            if statistics:
                position = self.distributed.rank * accum + number
                torch.manual_seed(micro_batch_seed(self.recipe.seed, epoch, step, position))

            # Forward and backward; gradients add up, and processes exchange them after the last micro-batch only.
            frames, planes, sub_planes = (tensor.to(device, non_blocking=True) for tensor in batch)
            with self._gradient_sync(last=number == accum - 1):
                with autocast(device):
                    inputs = frames.to(torch.float32, memory_format=torch.channels_last)
                    logits = self._parallel(inputs)
                soft_targets = None if self.teacher is None else self.teacher(inputs[planes != IGNORE_INDEX]).exp()
                loss = multi_task_loss(logits, planes, sub_planes, self.recipe, soft_targets)
                torch.autograd.backward(loss / accum)
            losses.append(loss.detach())
            if statistics:
                statistics.end_micro_batch()
        if statistics:
            statistics.end_batch(self.distributed, accum)

        # Clip, step the optimizer and the schedule, and update the moving average.
        nn.utils.clip_grad_norm_(self.network.parameters(), MAX_GRADIENT_NORM)
        self.optimizer.step()
        self.schedule.step()
        self._average.update_parameters(self.network)
        return float(self.distributed.all_reduce(torch.stack(losses).mean()) / world_size)

    def _gradient_sync(self, *, last: bool) -> AbstractContextManager[None]:
        if last or not isinstance(self._parallel, DistributedDataParallel):
            return nullcontext()
        return self._parallel.no_sync()

    def save_checkpoint(self, epoch: int) -> None:
        """Write the state after `epoch` epochs into a new file, then rename it: a checkpoint is whole or absent."""
        state = {name: part.state_dict() for name, part in self._state.items()} | {"epoch": epoch}
        draft = (self.run / CHECKPOINT).with_suffix(".new")
        torch.save(state, draft)
        draft.replace(self.run / CHECKPOINT)

    def load_checkpoint(self) -> int:
        """Load the run's checkpoint; return the number of complete epochs."""
        state = torch.load(self.run / CHECKPOINT, weights_only=True, map_location="cpu")
        for name, part in self._state.items():
            part.load_state_dict(state[name])
        return int(state["epoch"])
