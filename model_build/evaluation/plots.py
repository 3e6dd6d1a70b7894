"""Plots of a training log and of an evaluation."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from model_build.evaluation.metrics import Floats, Ints, bin_numbers

_DPI = 110
_BINS = 15


def draw_curves(log: Path, path: Path) -> None:
    """Draw loss and accuracy over epochs from `log.csv`."""
    rows = np.genfromtxt(log, delimiter=",", names=True, ndmin=1)
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    columns = ("train_loss", "val_loss"), ("val_top1", "val_macro_recall")
    for axis, names in zip(figure.subplots(1, 2), columns, strict=True):
        for name in names:
            axis.plot(rows["epoch"], rows[name], marker=".", label=name.replace("_", " "))
        axis.set_xlabel("epoch")
        axis.grid(alpha=0.3)
        axis.legend()
    figure.savefig(path, dpi=_DPI)


def draw_confusion(counts: NDArray[np.int64], labels: list[str], path: Path) -> None:
    """Draw a confusion matrix int64 [K, K], rows true. Color shows the share of the row, text the count."""
    shares = counts / np.maximum(1, counts.sum(1, keepdims=True))
    figure = Figure(figsize=(6, 5.4), layout="constrained")
    axis = figure.subplots()
    axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axis.set_xticks(range(len(labels)), labels, rotation=35, ha="right")
    axis.set_yticks(range(len(labels)), labels)
    axis.set(xlabel="predicted", ylabel="true")
    for row, column in np.argwhere(counts):
        color = "white" if shares[row, column] > 0.5 else "black"
        axis.text(column, row, str(counts[row, column]), ha="center", va="center", color=color)
    figure.savefig(path, dpi=_DPI)


def draw_reliability(before: Floats, after: Floats, labels: Ints, path: Path) -> None:
    """Draw accuracy over confidence for probabilities [N, K] before and after temperature scaling.

    The area of a dot shows its number of frames.
    """
    figure = Figure(figsize=(8, 3.9), layout="constrained")
    for axis, probabilities, name in zip(
        figure.subplots(1, 2, sharey=True), (before, after), ("before", "after"), strict=True
    ):
        confidence, hits = probabilities.max(1), probabilities.argmax(1) == labels
        bin_of = bin_numbers(confidence, _BINS)
        used, sizes = np.unique(bin_of, return_counts=True)
        x = [confidence[bin_of == number].mean() for number in used]
        y = [hits[bin_of == number].mean() for number in used]
        axis.set(title=f"{name} calibration", xlabel="confidence", ylabel="accuracy", xlim=(0, 1.02), ylim=(0, 1.05))
        axis.plot([0, 1], [0, 1], color="gray", linewidth=1)
        axis.scatter(x, y, s=20 + 180 * sizes / sizes.max())
        axis.grid(alpha=0.3)
    figure.savefig(path, dpi=_DPI)
