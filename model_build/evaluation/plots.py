"""Pictures for the report: curves, confusion matrix, reliability diagram."""

import csv
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

_DPI = 110


def draw_curves(log: Path, path: Path) -> None:
    """Draw the training log as loss and accuracy over epochs."""
    with log.open(newline="") as lines:
        rows = [{key: float(value) for key, value in row.items()} for row in csv.DictReader(lines)]
    epochs = [row["epoch"] for row in rows]
    figure, (losses, scores) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    for axis, names in (
        (losses, ("train_loss", "val_loss")),
        (scores, ("val_top1", "val_macro_recall")),
    ):
        for name in names:
            axis.plot(epochs, [row[name] for row in rows], marker=".", label=name.replace("_", " "))
        axis.set_xlabel("epoch")
        axis.grid(alpha=0.3)
        axis.legend()
    _save(figure, path)


def draw_confusion(counts: NDArray[np.int64], labels: list[str], path: Path) -> None:
    """Draw a confusion matrix int64 [K, K], rows true; shaded by share of the row, annotated with counts."""
    shares = counts / np.maximum(1, counts.sum(1, keepdims=True))
    figure, axis = plt.subplots(figsize=(6, 5.4), layout="constrained")
    axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axis.set_xticks(range(len(labels)), labels, rotation=35, ha="right")
    axis.set_yticks(range(len(labels)), labels)
    axis.set_xlabel("predicted")
    axis.set_ylabel("true")
    for row, column in np.ndindex(*counts.shape):
        if counts[row, column]:
            shade = "white" if shares[row, column] > 0.5 else "black"
            axis.text(column, row, str(counts[row, column]), ha="center", va="center", color=shade)
    _save(figure, path)


def draw_reliability(
    before: tuple[NDArray[np.float64], NDArray[np.bool_]],
    after: tuple[NDArray[np.float64], NDArray[np.bool_]],
    path: Path,
    bins: int = 15,
) -> None:
    """Draw accuracy over confidence, (confidence, hits) [N] before and after the temperature; dots sized by count."""
    figure, axes = plt.subplots(1, 2, figsize=(8, 3.9), sharey=True, layout="constrained")
    for axis, title, (confidence, hits) in zip(axes, ("before", "after"), (before, after), strict=True):
        bin_of = np.minimum((confidence * bins).astype(int), bins - 1)
        used = np.unique(bin_of)
        x = [confidence[bin_of == number].mean() for number in used]
        y = [hits[bin_of == number].mean() for number in used]
        sizes = [(bin_of == number).sum() for number in used]
        axis.plot([0, 1], [0, 1], color="gray", linewidth=1)
        axis.scatter(x, y, s=20 + 180 * np.array(sizes) / max(sizes))
        axis.set(title=f"{title} calibration", xlabel="confidence", ylabel="accuracy", xlim=(0, 1.02), ylim=(0, 1.05))
        axis.grid(alpha=0.3)
    _save(figure, path)


def _save(figure: Figure, path: Path) -> None:
    figure.savefig(path, dpi=_DPI)
    plt.close(figure)
