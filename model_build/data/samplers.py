"""In which order frames are drawn to train on."""

from collections import Counter
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.utils.data import Sampler

from model_build.data.records import Record


class BalancedBatchSampler(Sampler[int]):
    """Row numbers of an epoch, batch after batch.

    A batch has `batch` rows that teach planes, drawn by `balance_weights`, and evenly among them `stretched` of those
    that teach sub-planes alone, each as often as the others; fewer at the end are left out.
    """

    def __init__(self, records: Sequence[Record], balance: float, batch: int, stretched: int) -> None:
        rows = {kind: [row for row, record in enumerate(records) if record.stretched is kind] for kind in (False, True)}
        self._rows, self._more = torch.tensor(rows[False]), torch.tensor(rows[True])
        self._weights = balance_weights([records[row] for row in rows[False]], balance)
        self._share = stretched if rows[True] else 0
        self._batch = batch
        self.batch = batch + self._share
        self.batches = len(rows[False]) // batch

    def __len__(self) -> int:
        return self.batches * self.batch

    def __iter__(self) -> Iterator[int]:
        rows = iter(self._rows[torch.multinomial(self._weights, self.batches * self._batch, replacement=True)].tolist())
        more = self._drawn(self.batches * self._share)
        for place in list(range(self.batch)) * self.batches:
            stretched = (place + 1) * self._share // self.batch > place * self._share // self.batch
            yield next(more if stretched else rows)

    def _drawn(self, count: int) -> Iterator[int]:
        while count > 0:
            part = self._more[torch.randperm(len(self._more))][:count]
            yield from part.tolist()
            count -= len(part)


def balance_weights(records: Sequence[Record], balance: float) -> Tensor:
    """How often each frame is drawn: n**-balance, n the frames of its plane on its machine. float64 [N], sum 1."""
    cells = [(record.plane, record.scanner) for record in records]
    counts = Counter(cells)
    weights = torch.tensor([counts[cell] ** -balance for cell in cells], dtype=torch.float64)
    return weights / weights.sum()
