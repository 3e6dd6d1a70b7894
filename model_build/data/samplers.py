"""The order in which training frames are drawn."""

from collections import Counter
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.utils.data import Sampler

from model_build.data.records import Record


class BalancedBatchSampler(Sampler[int]):
    """Draw the rows of one epoch, batch after batch; frames beyond the last whole batch are left out.

    A batch has `plane_frames` frames that train the plane head, drawn with replacement by `balance_weights`, and
    `stretched_frames` that train the sub-plane head only, spread evenly over the batch and drawn without replacement
    until all were drawn.
    """

    def __init__(self, records: Sequence[Record], balance: float, plane_frames: int, stretched_frames: int) -> None:
        stretched = torch.tensor([record.stretched for record in records], dtype=torch.bool)
        self._plane_rows, self._stretched_rows = torch.where(~stretched)[0], torch.where(stretched)[0]
        self._weights = balance_weights([record for record in records if not record.stretched], balance)
        self._plane_frames = plane_frames
        self._stretched_frames = stretched_frames if stretched.any() else 0
        self.batch_size = plane_frames + self._stretched_frames  # of both kinds
        self.batches = len(self._plane_rows) // plane_frames  # per epoch

    def __len__(self) -> int:
        return self.batches * self.batch_size

    def __iter__(self) -> Iterator[int]:
        count = self.batches * self._plane_frames
        plane_rows = iter(self._plane_rows[torch.multinomial(self._weights, count, replacement=True)].tolist())
        stretched_rows = self._draw_stretched()
        for position in list(range(self.batch_size)) * self.batches:
            # Bresenham's rule: a stretched frame wherever the running share passes the next whole number.
            before = position * self._stretched_frames // self.batch_size
            after = (position + 1) * self._stretched_frames // self.batch_size
            yield next(stretched_rows if after > before else plane_rows)

    def _draw_stretched(self) -> Iterator[int]:
        while True:
            yield from self._stretched_rows[torch.randperm(len(self._stretched_rows))].tolist()


def balance_weights(records: Sequence[Record], balance: float) -> Tensor:
    """Return the probability of drawing each frame, float64 [N], sum 1: n**-balance for n frames of its kind.

    Frames of one kind have the same plane and scanner.
    """
    kinds = [(record.plane, record.scanner) for record in records]
    counts = Counter(kinds)
    weights = torch.tensor([counts[kind] ** -balance for kind in kinds], dtype=torch.float64)
    return weights / weights.sum()
