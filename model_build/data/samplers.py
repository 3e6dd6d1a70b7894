"""The order in which training frames are drawn."""

from collections import Counter
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.utils.data import Sampler

from model_build.data.records import Record


class BalancedBatchSampler(Sampler[int]):
    """Draw the rows of one epoch, batch after batch; frames beyond the last whole batch are left out.

    Parameters
    ----------
    balance
        Exponent of `balance_weights`, by which the frames that train the plane head are drawn, with replacement.
    plane_frames, stretched_frames
        Per batch: frames that train the plane head, and stretched frames, which train the sub-plane head only. The
        stretched frames are spread evenly over the batch and drawn without replacement until all were drawn.

    Attributes
    ----------
    batch_size, batches
        Frames per batch, of both kinds; batches per epoch.
    """

    def __init__(self, records: Sequence[Record], balance: float, plane_frames: int, stretched_frames: int) -> None:
        plane_rows = [row for row, record in enumerate(records) if not record.stretched]
        stretched_rows = [row for row, record in enumerate(records) if record.stretched]
        self._plane_rows, self._stretched_rows = torch.tensor(plane_rows), torch.tensor(stretched_rows)
        self._weights = balance_weights([records[row] for row in plane_rows], balance)
        self._plane_frames = plane_frames
        self._stretched_frames = stretched_frames if stretched_rows else 0
        self.batch_size = plane_frames + self._stretched_frames
        self.batches = len(plane_rows) // plane_frames

    def __len__(self) -> int:
        return self.batches * self.batch_size

    def __iter__(self) -> Iterator[int]:
        count = self.batches * self._plane_frames
        plane_rows = iter(self._plane_rows[torch.multinomial(self._weights, count, replacement=True)].tolist())
        stretched_rows = self._draw_stretched(self.batches * self._stretched_frames)
        for position in list(range(self.batch_size)) * self.batches:
            # Bresenham's rule: a stretched frame wherever the running share passes the next whole number.
            before = position * self._stretched_frames // self.batch_size
            after = (position + 1) * self._stretched_frames // self.batch_size
            yield next(stretched_rows if after > before else plane_rows)

    def _draw_stretched(self, count: int) -> Iterator[int]:
        while count > 0:
            drawn = self._stretched_rows[torch.randperm(len(self._stretched_rows))][:count]
            yield from drawn.tolist()
            count -= len(drawn)


def balance_weights(records: Sequence[Record], balance: float) -> Tensor:
    """Return the probability of drawing each frame, float64 [N], sum 1.

    It is proportional to n**-balance, where n is the number of frames with the same plane and scanner.
    """
    cells = [(record.plane, record.scanner) for record in records]
    counts = Counter(cells)
    weights = torch.tensor([counts[cell] ** -balance for cell in cells], dtype=torch.float64)
    return weights / weights.sum()
