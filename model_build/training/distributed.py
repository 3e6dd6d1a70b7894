"""Data-parallel training by the processes that `torchrun` starts, and gradient accumulation over micro-batches.

P processes with A micro-batches each give the same weights as one process with P x A micro-batches, up to the rounding
of sums. Each micro-batch has its own BatchNorm statistics and dropout, so another number of micro-batches is another
run, although the batch size is the same.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, distributed, nn
from torch.utils.data import BatchSampler, Sampler


@dataclass(frozen=True)
class Distributed:
    """This process among those that train together, and the device on which it computes."""

    device: str = "cpu"
    rank: int = 0
    world_size: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this process validates and writes files."""
        return self.rank == 0

    def all_reduce(self, values: Tensor) -> Tensor:
        """Return the sum of a tensor over all processes, in place."""
        if self.world_size > 1:
            distributed.all_reduce(values)
        return values

    def barrier(self) -> None:
        """Wait until all processes have reached this call."""
        if self.world_size > 1:
            distributed.barrier()


@contextmanager
def join_distributed(device: str) -> Iterator[Distributed]:
    """Join the process group that `torchrun` started; without one, this process trains alone.

    `cuda` becomes the GPU of this process, `cuda:<LOCAL_RANK>`.
    """
    world_size = int(os.environ.get("WORLD_SIZE", "1"))
    if world_size == 1:
        yield Distributed(device)
        return
    if device == "cuda":
        device = f"cuda:{os.environ['LOCAL_RANK']}"
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if device.startswith("cuda") else "gloo")
    try:
        yield Distributed(device, distributed.get_rank(), world_size)
    finally:
        distributed.destroy_process_group()


def micro_batch_seed(seed: int, epoch: int, step: int, micro_batch: int) -> int:
    """Return the dropout seed of a micro-batch; the process that computes it does not matter."""
    return int(np.random.SeedSequence((seed, epoch, step, micro_batch)).generate_state(1, np.uint64)[0] >> 1)


class MicroBatchSampler(Sampler[list[int]]):
    """Yield the micro-batches of this process: `grad_accum_steps` consecutive ones of every batch.

    Raises ValueError where the batch size is not divisible by the number of micro-batches of all processes.
    """

    def __init__(self, rows: Sampler[int], batch_size: int, distributed: Distributed, grad_accum_steps: int) -> None:
        micro_batches = distributed.world_size * grad_accum_steps
        if batch_size % micro_batches:
            parts = f"{distributed.world_size} x {grad_accum_steps} equal micro-batches"
            raise ValueError(f"a batch of {batch_size} frames cannot be divided into {parts}")
        self._batches = BatchSampler(rows, batch_size, drop_last=True)
        self._size = batch_size // micro_batches
        self._own = range(distributed.rank * grad_accum_steps, (distributed.rank + 1) * grad_accum_steps)

    def __iter__(self) -> Iterator[list[int]]:
        for batch in self._batches:
            for micro_batch in self._own:
                yield batch[micro_batch * self._size : (micro_batch + 1) * self._size]

    def __len__(self) -> int:
        return len(self._batches) * len(self._own)


class BatchNormStatistics:
    """BatchNorm's running statistics of a batch in micro-batches: updated once, by the mean over micro-batches.

    Without it, the statistics would move once per micro-batch and differ between processes.
    """

    def __init__(self, model: nn.Module) -> None:
        norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d) and module.training]
        self._buffers = [buffer for norm in norms for buffer in norm.buffers()]  # mean, variance, number of batches
        self._before = [buffer.clone() for buffer in self._buffers]
        self._sums = torch.zeros(())

    def end_micro_batch(self) -> None:
        """Add up the statistics after a micro-batch's forward pass, and reset them to those before the batch."""
        self._sums = self._sums + torch.cat([buffer.flatten().float() for buffer in self._buffers])
        for buffer, before in zip(self._buffers, self._before, strict=True):
            buffer.copy_(before)

    def end_batch(self, distributed: Distributed, grad_accum_steps: int) -> None:
        """Set the statistics to their mean over the micro-batches of all processes."""
        means = distributed.all_reduce(self._sums) / (distributed.world_size * grad_accum_steps)
        sizes = [buffer.numel() for buffer in self._buffers]
        for buffer, mean in zip(self._buffers, torch.split(means, sizes), strict=True):
            buffer.copy_(mean.view_as(buffer))
