"""Contact sheets: frames, right and wrong ones, with their Grad-CAM and their GradientSHAP, for a person to look at."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from model_build.data.records import Source
from model_build.evaluation.predictions import Outcome
from model_build.evidence.gradient_shap import gradient_shap, smoothed
from model_build.models.classifier import PlaneClassifier
from service.analysis.abstention import abstain_reason
from service.imaging.letterbox import crop_and_letterbox
from service.imaging.overlay import paint
from service.imaging.sector import full_box
from service.inference.engine import Engine
from service.schemas.manifest import Manifest

Floats = NDArray[np.float32]
Gray = NDArray[np.uint8]
Colors = NDArray[np.uint8]

MOST_WRONG = 18
_RIGHT_EACH = 2
_CASES_A_ROW = 2
_TILES = ("frame", "Grad-CAM", "GradientSHAP")
_FOR, _AGAINST = (255, 70, 40), (60, 130, 255)  # red, green, blue
_FULL = 99.5  # percentile of the attribution's strength that gets the full color
_TILE_INCHES, _DPI, _QUALITY = 1.42, 100, 82
_LEGEND = """\
Each case is three pictures: what the network sees of a test frame (its crop); Grad-CAM of the plane that it said,
painted as the service paints it (brighter: more evidence); GradientSHAP of the same logit, smoothed (red speaks for
that plane, blue against it). {model}. Research use only, not a medical device: a map shows where a score
came from, not anatomy. Frames cropped, reduced and painted over, from {name}, {license}.
{citation}."""


@dataclass(frozen=True, eq=False)
class Case:
    """A frame, what was said of it, and why.

    Attributes
    ----------
    view
        What the network sees, uint8 [S, S].
    caption
        What is true and what was said, a line each.
    heat
        Grad-CAM as the service computes it, float32 [h, w], 0..1.
    attribution
        GradientSHAP of the same logit, float32 [S, S], signed, not smoothed.
    """

    view: Gray
    caption: str
    heat: Floats
    attribution: Floats

    def tiles(self) -> tuple[Colors, Colors, Colors]:
        """The three pictures, uint8 [S, S, 3] in the order red, green, blue."""
        frame = np.repeat(self.view[..., None], 3, 2)
        painted = paint(self.view, self.heat, full_box(self.view), self.view.shape[0])[..., ::-1]
        return frame, painted, paint_signed(self.view, smoothed(self.attribution))


def paint_signed(view: Gray, attribution: Floats) -> Colors:
    """Paint what speaks for a plane red over a view [S, S], what speaks against it blue: uint8 [S, S, 3]."""
    full = max(float(np.percentile(np.abs(attribution), _FULL)), 1e-9)
    strength = np.clip(np.abs(attribution) / full, 0, 1)[..., None]
    color = np.where(attribution[..., None] > 0, np.array(_FOR), np.array(_AGAINST))
    return np.asarray(view[..., None] * (1 - strength) + color * strength, np.uint8)


def make_case(engine: Engine, model: PlaneClassifier, frame: Gray, truth: int) -> Case:
    """Classify a gray frame [H, W] and explain the plane that was said, by the service's engine and by PyTorch."""
    planes = engine.manifest.planes
    view, _ = crop_and_letterbox(frame, engine.manifest.preprocessing)
    scores = engine.score(view, with_features=True)
    said, reason = scores.ranked()[0], abstain_reason(scores, engine.manifest.abstention)
    caption = f"is: {planes[truth].label}\nsaid: {planes[said].label} {scores.probabilities[said]:.2f}"
    heat = engine.explain(scores, said).values
    return Case(view, caption + (f"\nabstains: {reason}" if reason else ""), heat, gradient_shap(model, view, said))


def choose_right(outcome: Outcome, each: int = _RIGHT_EACH) -> list[int]:
    """Rows of the first frames of every plane that were told right, one a patient."""
    said = outcome.probabilities.argmax(1)
    chosen: list[int] = []
    for plane in range(len(outcome.labels)):
        first: dict[str, int] = {}
        for row in np.flatnonzero((outcome.planes == plane) & (said == plane)).tolist():
            first.setdefault(outcome.records[row].patient, row)
        chosen += list(first.values())[:each]
    return chosen


def choose_wrong(outcome: Outcome, most: int = MOST_WRONG) -> list[int]:
    """Rows of the frames that were told wrong, by true plane; the surest ones where there are more than `most`."""
    wrong = np.flatnonzero(outcome.probabilities.argmax(1) != outcome.planes)
    surest = wrong[np.argsort(-outcome.probabilities[wrong].max(1), kind="stable")][:most]
    return sorted(surest.tolist(), key=lambda row: (int(outcome.planes[row]), row))


def write_sheets(
    engine: Engine, model: PlaneClassifier, frames: Sequence[Gray], outcome: Outcome, source: Source, out: Path
) -> None:
    """Write `heat-right.jpg` and, where any frame was told wrong, `heat-wrong.jpg`, of the outcome's frames."""
    count = int((outcome.probabilities.argmax(1) != outcome.planes).sum())
    wrong = choose_wrong(outcome)
    which = "all" if len(wrong) == count else f"the {len(wrong)} surest"
    for name, rows, title in (
        ("right", choose_right(outcome), "Told right: of each plane the first frames, one a patient"),
        ("wrong", wrong, f"Told wrong: {which} of {count}, among {len(frames)} test frames"),
    ):
        if rows:
            cases = [make_case(engine, model, frames[row], outcome.records[row].plane) for row in rows]
            figure = draw_sheet(cases, title, legend(engine.manifest, source))
            figure.savefig(out / f"heat-{name}.jpg", dpi=_DPI, pil_kwargs={"quality": _QUALITY})
            plt.close(figure)


def legend(manifest: Manifest, source: Source) -> str:
    """What a sheet shows, of which model, for what use, and whose frames they are."""
    model = f"Model {manifest.name} {manifest.version}"
    return _LEGEND.format(model=model, name=source.name, license=source.license, citation=source.citation)


def draw_sheet(cases: Sequence[Case], title: str, legend: str) -> Figure:
    """Draw the cases in order, two a row, with three tiles each."""
    rows, columns = -(-len(cases) // _CASES_A_ROW), _CASES_A_ROW * len(_TILES)
    size = columns * _TILE_INCHES, rows * (_TILE_INCHES + 0.42) + 1.5
    figure, axes = plt.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained")
    figure.suptitle(title, fontsize=10)
    figure.supxlabel(legend, fontsize=7, x=0.01, ha="left")
    for axis in axes.flat:
        axis.set_axis_off()
    for number, case in enumerate(cases):
        row, first = divmod(number, _CASES_A_ROW)
        own = axes[row, first * len(_TILES) : (first + 1) * len(_TILES)]
        for axis, picture, name in zip(own, case.tiles(), (case.caption, *_TILES[1:]), strict=True):
            axis.imshow(picture)
            axis.set_title(name, fontsize=7, loc="left")
    return figure
