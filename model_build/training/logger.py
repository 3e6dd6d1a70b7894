"""The log of a training run: `log.csv`, a line per epoch with the remaining time, and TensorBoard on request."""

import csv
import sys
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm


def epoch_metrics(
    head_lr: float, losses: Sequence[float], val_logits: Tensor, val_planes: NDArray[np.int64]
) -> dict[str, float]:
    """Return the columns of an epoch in `log.csv`; its validation metrics are of the planes only.

    `head_lr` is the learning rate after the epoch, `losses` are of its steps; logits [N, K], true planes int64 [N].
    """
    planes = torch.from_numpy(val_planes)
    right = (val_logits.argmax(1) == planes).double()
    recalls = torch.stack([right[planes == plane].mean() for plane in sorted(set(planes.tolist()))])
    return {
        "head_lr": head_lr,
        "train_loss": float(np.mean(losses)),
        "val_loss": float(functional.cross_entropy(val_logits, planes)),
        "val_top1": float(right.mean()),
        "val_macro_recall": float(recalls.mean()),
    }


class RunLogger:
    """Write the metrics of each epoch into a CSV file, and into a folder `tensorboard` next to it if wanted.

    `done` of all `epochs` were complete when the run started or resumed. Raises ValueError where TensorBoard is wanted
    and not installed.
    """

    def __init__(self, log: Path, epochs: int, done: int = 0, *, tensorboard: bool = False) -> None:
        self._log, self._epochs, self._done, self._start = log, epochs, done, time.monotonic()
        self._writer = None
        if tensorboard:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError as error:
                raise ValueError("TensorBoard is not installed: pip install tensorboard") from error
            self._writer = SummaryWriter(log.with_name("tensorboard"), purge_step=done + 1)

    def eta(self, done: float) -> str:
        """Return the remaining time after `done` epochs, as `0:12:30 left`; empty before the first step."""
        if done <= self._done:
            return ""
        seconds_per_epoch = (time.monotonic() - self._start) / (done - self._done)
        return f"{timedelta(seconds=round(seconds_per_epoch * (self._epochs - done)))} left"

    def write(self, epoch: int, metrics: dict[str, float]) -> None:
        """Append the row of an epoch, counted from 1; a repeated epoch of a resumed run replaces all later rows."""
        kept: list[list[str]] = []
        if self._log.exists():
            with self._log.open(newline="") as lines:
                kept = [row for row in list(csv.reader(lines))[1:] if int(row[0]) < epoch]
        row = [str(epoch), *(f"{value:.6g}" for value in metrics.values())]
        with self._log.open("w", newline="") as lines:
            csv.writer(lines).writerows([["epoch", *metrics], *kept, row])
        if self._writer:
            for name, value in metrics.items():
                self._writer.add_scalar(name, value, epoch)
            self._writer.flush()
        text = ", ".join(f"{name.replace('_', ' ')} {value:.4g}" for name, value in metrics.items())
        tqdm.write(f"epoch {epoch}/{self._epochs}: {text}. {self.eta(epoch)}", file=sys.stderr)
