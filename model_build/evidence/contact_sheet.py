"""Contact sheets: correct and wrong predictions with their Grad-CAM and GradientSHAP, for visual inspection."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from model_build.data.records import Frames, Source
from model_build.evaluation.plots import plot_label
from model_build.evaluation.predictions import Predictions
from model_build.evidence.gradient_shap import gradient_shap, smoothed
from model_build.models.classifier import PlaneClassifier
from service.analysis.abstention import abstain_reason
from service.imaging.letterbox import crop_and_letterbox
from service.imaging.overlay import paint
from service.imaging.sector import Box, full_box
from service.inference.engine import Engine
from service.schemas.manifest import Manifest

Floats = NDArray[np.float32]
Gray = NDArray[np.uint8]
Colors = NDArray[np.uint8]

_CASES_PER_ROW = 2
_TILES = ("frame", "Grad-CAM", "GradientSHAP")
_FOR, _AGAINST = (255, 70, 40), (60, 130, 255)  # red, green, blue
_SATURATION_PERCENTILE = 99.5  # attribution at this percentile gets the full color
_TILE_INCHES, _DPI, _QUALITY = 1.42, 100, 82
_LEGEND = """\
Each case shows three pictures: the input of the network (the crop of a test frame); Grad-CAM of the predicted plane,
painted as the service paints it (brighter: more evidence); GradientSHAP of the same logit, smoothed (red: evidence for
the plane, blue: against it). {model}. Research use only, not a medical device: a heat map shows where a score
comes from, not anatomy. Frames are cropped, reduced and painted over; source: {source.name}, {source.license}.
{source.citation}."""


@dataclass(frozen=True, eq=False)
class Case:
    """One frame with its prediction and two explanations of it."""

    pixels: Gray  # the input of the network, [S, S]
    crop: Box  # the part of the frame that it shows
    plane: int  # predicted
    caption: str  # the true and the predicted plane, one per line
    heat: Floats  # Grad-CAM as the service computes it, [h, w], 0..1
    attribution: Floats  # GradientSHAP of the same logit, [S, S], signed, not smoothed

    def tiles(self) -> tuple[Colors, Colors, Colors]:
        """Return the three pictures, uint8 [S, S, 3] in RGB order."""
        frame = np.repeat(self.pixels[..., None], 3, 2)
        overlay = paint(self.pixels, self.heat, full_box(self.pixels), self.pixels.shape[0])[..., ::-1]
        return frame, overlay, paint_signed(self.pixels, smoothed(self.attribution))


@dataclass(frozen=True, eq=False)
class Explainer:
    """The two implementations of one model that explain it: the engine (Grad-CAM) and PyTorch (GradientSHAP)."""

    engine: Engine
    model: PlaneClassifier

    def explain(self, frame: Gray, label: int) -> Case:
        """Classify a gray frame [H, W] and explain the predicted plane."""
        manifest = self.engine.manifest
        pixels, crop = crop_and_letterbox(frame, manifest.preprocessing)
        scores = self.engine.score(pixels, with_features=True)
        plane, reason = scores.ranked()[0], abstain_reason(scores, manifest.abstention)
        caption = f"true: {plot_label(manifest.planes[label])}\n"
        caption += f"predicted: {plot_label(manifest.planes[plane])} {scores.probabilities[plane]:.2f}"
        caption += f"\nabstains: {reason}" if reason else ""
        heat, attribution = self.engine.explain(scores, plane).values, gradient_shap(self.model, pixels, plane)
        return Case(pixels, crop.box, plane, caption, heat, attribution)


def paint_signed(pixels: Gray, attribution: Floats) -> Colors:
    """Return an input [S, S] in RGB, uint8 [S, S, 3], with positive attribution in red and negative in blue."""
    full = max(float(np.percentile(np.abs(attribution), _SATURATION_PERCENTILE)), 1e-9)
    strength = np.clip(np.abs(attribution) / full, 0, 1)[..., None]
    color = np.where(attribution[..., None] > 0, np.array(_FOR), np.array(_AGAINST))
    return np.asarray(pixels[..., None] * (1 - strength) + color * strength, np.uint8)


def choose_correct(predictions: Predictions, per_plane: int = 2) -> list[int]:
    """Return rows of the first correct predictions of every plane, one per patient."""
    chosen: list[int] = []
    for plane in range(len(predictions.planes)):
        rows = np.flatnonzero((predictions.labels == plane) & (predictions.predicted == plane)).tolist()
        first = {predictions.records[row].patient: row for row in reversed(rows)}
        chosen += sorted(first.values())[:per_plane]
    return chosen


def choose_wrong(predictions: Predictions, most: int = 18) -> list[int]:
    """Return rows of at most `most` wrong predictions, those with the highest probability, sorted by true plane."""
    labels = predictions.labels
    wrong = np.flatnonzero(predictions.predicted != labels)
    chosen = wrong[np.argsort(-predictions.probabilities[wrong].max(1), kind="stable")][:most]
    return sorted(chosen.tolist(), key=lambda row: (int(labels[row]), row))


def write_sheets(explainer: Explainer, frames: Frames, predictions: Predictions, source: Source, out: Path) -> None:
    """Write `heat-correct.jpg` and `heat-wrong.jpg` of frames and their predictions; a sheet without a case is skipped.

    The sheets show frames of the data set, so they do not belong into a repository.
    """
    wrong, count = choose_wrong(predictions), int((predictions.predicted != predictions.labels).sum())
    which = "all" if len(wrong) == count else f"the {len(wrong)} most confident"
    titles = {
        "correct": "Correct predictions: the first frames of each plane, one per patient",
        "wrong": f"Wrong predictions: {which} of {count}, among {len(frames)} test frames",
    }
    for (name, title), rows in zip(titles.items(), (choose_correct(predictions), wrong), strict=True):
        if rows:
            cases = [explainer.explain(frames[row], predictions.records[row].plane) for row in rows]
            figure = draw_sheet(cases, title, legend(explainer.engine.manifest, source))
            figure.savefig(out / f"heat-{name}.jpg", dpi=_DPI, pil_kwargs={"quality": _QUALITY})


def legend(manifest: Manifest, source: Source) -> str:
    """Return the text below a sheet: its content, the model, the intended use and the source of the frames."""
    return _LEGEND.format(model=f"Model {manifest.name} {manifest.version}", source=source)


def draw_sheet(cases: Sequence[Case], title: str, legend: str) -> Figure:
    """Draw the cases in order, two per row, with three tiles each."""
    rows, columns = -(-len(cases) // _CASES_PER_ROW), _CASES_PER_ROW * len(_TILES)
    size = columns * _TILE_INCHES, rows * (_TILE_INCHES + 0.42) + 1.5
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    figure.suptitle(title, fontsize=10)
    figure.supxlabel(legend, fontsize=7, x=0.01, ha="left")
    for axis in axes.flat:
        axis.set_axis_off()
    for number, case in enumerate(cases):
        row, first = divmod(number, _CASES_PER_ROW)
        own = axes[row, first * len(_TILES) : (first + 1) * len(_TILES)]
        for axis, picture, name in zip(own, case.tiles(), (case.caption, *_TILES[1:]), strict=True):
            axis.imshow(picture)
            axis.set_title(name, fontsize=7, loc="left")
    return figure
