"""Plots of a training log and of an evaluation."""

import csv
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")  # no display; pyplot must be imported after this line

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from model_build.evaluation.metrics import bin_numbers

_DPI = 110
_BINS = 15

Confidence = tuple[NDArray[np.float64], NDArray[np.bool_]]  # top-1 probability and correctness, [N] each


def draw_curves(log: Path, path: Path) -> None:
    """Draw loss and accuracy over epochs from `log.csv`."""
    with log.open(newline="") as lines:
        rows = [{key: float(value) for key, value in row.items()} for row in csv.DictReader(lines)]
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    columns = ("train_loss", "val_loss"), ("val_top1", "val_macro_recall")
    for axis, names in zip(axes, columns, strict=True):
        for name in names:
            values = [row[name] for row in rows]
            axis.plot([row["epoch"] for row in rows], values, marker=".", label=name.replace("_", " "))
        axis.set_xlabel("epoch")
        axis.grid(alpha=0.3)
        axis.legend()
    _save(figure, path)


def draw_confusion(counts: NDArray[np.int64], labels: list[str], path: Path) -> None:
    """Draw a confusion matrix int64 [K, K], rows true. Color shows the share of the row, text the count."""
    shares = counts / np.maximum(1, counts.sum(1, keepdims=True))
    figure, axis = plt.subplots(figsize=(6, 5.4), layout="constrained")
    axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axis.set_xticks(range(len(labels)), labels, rotation=35, ha="right")
    axis.set_yticks(range(len(labels)), labels)
    axis.set_xlabel("predicted")
    axis.set_ylabel("true")
    for row, column in np.argwhere(counts):
        color = "white" if shares[row, column] > 0.5 else "black"
        axis.text(column, row, str(counts[row, column]), ha="center", va="center", color=color)
    _save(figure, path)


def draw_reliability(before: Confidence, after: Confidence, path: Path) -> None:
    """Draw accuracy over confidence before and after temperature scaling; dot area shows the number of frames."""
    figure, axes = plt.subplots(1, 2, figsize=(8, 3.9), sharey=True, layout="constrained")
    for axis, title, pair in zip(axes, ("before", "after"), (before, after), strict=True):
        axis.set(title=f"{title} calibration", xlabel="confidence", ylabel="accuracy", xlim=(0, 1.02), ylim=(0, 1.05))
        _reliability(axis, *pair)
    _save(figure, path)


def _reliability(axis: Axes, confidence: NDArray[np.float64], hits: NDArray[np.bool_]) -> None:
    bin_of = bin_numbers(confidence, _BINS)
    used, sizes = np.unique(bin_of, return_counts=True)
    x = [confidence[bin_of == number].mean() for number in used]
    y = [hits[bin_of == number].mean() for number in used]
    axis.plot([0, 1], [0, 1], color="gray", linewidth=1)
    axis.scatter(x, y, s=20 + 180 * sizes / sizes.max())
    axis.grid(alpha=0.3)


def _save(figure: Figure, path: Path) -> None:
    figure.savefig(path, dpi=_DPI)
    plt.close(figure)
