"""What a run tells while it goes on: `log.csv`, time left, and TensorBoard's files where they are asked for."""

import csv
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

LOG_COLUMNS = ("epoch", "rate", "train_loss", "validation_loss", "validation_top1", "validation_macro_recall")


class RunLogger:
    """The journal of one run.

    Parameters
    ----------
    folder
        Of the run; `log.csv` goes there, and `tensorboard/`.
    epochs, done
        How many there are, and how many were behind the run when it was begun or resumed.
    tensorboard
        Whether to write for TensorBoard, which has to be installed.

    Raises
    ------
    ValueError
        TensorBoard was asked for and is not installed.
    """

    def __init__(self, folder: Path, epochs: int, done: int = 0, *, tensorboard: bool = False) -> None:
        self._log, self._epochs, self._first, self._begun = folder / "log.csv", epochs, done, time.monotonic()
        self._writer = _tensorboard(folder / "tensorboard", done) if tensorboard else None

    def left(self, done: float) -> str:
        """Time left when so many epochs are behind the run, as `0:12:30`; empty where nothing tells yet."""
        if done <= self._first:
            return ""
        pace = (time.monotonic() - self._begun) / (done - self._first)
        return f"{timedelta(seconds=round(pace * (self._epochs - done)))} left"

    def add(self, row: tuple[float, ...]) -> None:
        """Take the figures of an epoch, in the order of `LOG_COLUMNS`; a repeated one replaces what came after it."""
        kept: list[list[str]] = []
        if self._log.exists():
            with self._log.open(newline="") as lines:
                kept = [old for old in list(csv.reader(lines))[1:] if int(old[0]) < row[0]]
        with self._log.open("w", newline="") as lines:
            csv.writer(lines).writerows([LOG_COLUMNS, *kept, [row[0], *(f"{value:.6g}" for value in row[1:])]])
        figures = dict(zip(LOG_COLUMNS[1:], row[1:], strict=True))
        if self._writer:
            for name, value in figures.items():
                self._writer.add_scalar(name, value, int(row[0]))
            self._writer.flush()
        said = ", ".join(f"{name.replace('_', ' ')} {value:.4g}" for name, value in figures.items())
        tqdm.write(f"epoch {row[0]:.0f}/{self._epochs}: {said}. {self.left(row[0])}", file=sys.stderr)


def _tensorboard(folder: Path, done: int) -> "SummaryWriter":
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ValueError("TensorBoard is not installed: pip install tensorboard") from error
    return SummaryWriter(folder, purge_step=done + 1)
