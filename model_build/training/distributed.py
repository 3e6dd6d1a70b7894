"""Several processes on one machine, as `torchrun` starts them; and a batch that is computed in parts.

What is promised: P processes that compute A parts each give the weights of one process that computes P x A parts, but
for the rounding of sums. Each part has BatchNorm statistics and dropout of its own, so that another number of parts is
another run, though of the same batch size.
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
    """This process among those that train together, and where it computes."""

    device: str = "cpu"
    rank: int = 0
    size: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this is the one process that validates and writes."""
        return self.rank == 0

    def all_reduce(self, values: Tensor) -> Tensor:
        """The sum of a tensor over all processes, in place."""
        if self.size > 1:
            distributed.all_reduce(values)
        return values

    def wait(self) -> None:
        """Until all are here."""
        if self.size > 1:
            distributed.barrier()


@contextmanager
def join_distributed(device: str) -> Iterator[Distributed]:
    """The team that `torchrun` made, or this process alone; `cuda` becomes each process's own GPU."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield Distributed(device)
        return
    if device == "cuda":
        device = f"cuda:{os.environ['LOCAL_RANK']}"
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if device.startswith("cuda") else "gloo")
    try:
        yield Distributed(device, distributed.get_rank(), size)
    finally:
        distributed.destroy_process_group()


def micro_batch_seed(seed: int, epoch: int, step: int, part: int) -> int:
    """A seed of its own for the dropout of each part, whichever process computes it."""
    return int(np.random.SeedSequence((seed, epoch, step, part)).generate_state(1, np.uint64)[0] >> 1)


class MicroBatches(Sampler[list[int]]):
    """The rows of the parts that this process computes: for each batch, those of part `first`, then of the next."""

    def __init__(self, order: Sampler[int], rows: int, batch: int, distributed: Distributed, each: int) -> None:
        parts = distributed.size * each
        if batch % parts:
            raise ValueError(f"a batch of {batch} cannot be computed in {distributed.size} x {each} equal parts")
        self._batches = BatchSampler(order, batch, drop_last=True)
        self._rows, self._batch, self._part = rows, batch, batch // parts
        self._mine = range(distributed.rank * each, (distributed.rank + 1) * each)

    def __iter__(self) -> Iterator[list[int]]:
        for batch in self._batches:
            for part in self._mine:
                yield batch[part * self._part : (part + 1) * self._part]

    def __len__(self) -> int:
        return self._rows // self._batch * len(self._mine)


class BatchNormStatistics:
    """BatchNorm's running statistics when a batch is computed in parts: moved once, by the mean of the parts."""

    def __init__(self, model: nn.Module) -> None:
        norms = [part for part in model.modules() if isinstance(part, nn.BatchNorm2d) and part.training]
        self._moving = [
            buffer for norm in norms for buffer in (norm.running_mean, norm.running_var) if buffer is not None
        ]
        self._counts = [norm.num_batches_tracked for norm in norms if norm.num_batches_tracked is not None]
        self._before = [buffer.clone() for buffer in (*self._moving, *self._counts)]
        self._sums = [torch.zeros_like(buffer) for buffer in self._moving]

    def end_part(self) -> None:
        """Take what a part's forward pass made of the statistics, and put them back."""
        for total, buffer in zip(self._sums, self._moving, strict=True):
            total += buffer
        for buffer, before in zip((*self._moving, *self._counts), self._before, strict=True):
            buffer.copy_(before)

    def end_batch(self, distributed: Distributed, each: int) -> None:
        """Set the statistics to their mean over all parts of all processes."""
        flat = (
            distributed.all_reduce(torch.cat(self._sums)) / (distributed.size * each) if self._sums else torch.empty(0)
        )
        for buffer, mean in zip(self._moving, torch.split(flat, [len(buffer) for buffer in self._moving]), strict=True):
            buffer.copy_(mean)
        for count in self._counts:
            count += 1
