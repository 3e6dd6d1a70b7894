"""The model card: what a model is for, what it was made from, what it can do and where it fails."""

from collections.abc import Sequence
from pathlib import Path

from model_build.data.formats.own_data import NO_PATIENTS
from model_build.evaluation.predictions import Metric, Outcome, Row, per_plane, per_scanner
from model_build.recipe import Recipe
from service.schemas.manifest import Manifest

_TEMPLATE = """\
# {name} {version}

Sorts a fetal ultrasound still into one of {count} planes: {planes}.
**For research use. Not a medical device.** A plane's label is neither a check of image quality nor a diagnosis, and a
heat map shows where a score came from, not anatomy.
{warnings}
## The model
{backbone} with ImageNet weights, `{attention}` attention on the last map, a {depth}-layer perceptron; input
{size} x {size} gray pixels, crop `{crop}`. After Sivasubramanian et al., Phys Eng Sci Med 2025
(doi 10.1007/s13246-025-01566-6); it is not their model, and these are not their data or split.

## Data
{data}. {license}. {citation}.
Trained on {train_frames} frames of {train_patients} {who}; temperature and thresholds were chosen on further {who} of
the same data. {split}

## Results on the test split ({test_frames} frames of {test_patients} {who})
Intervals are 95 %, from drawing whole patients with replacement 1,000 times.

| figure | value | interval | frames |
| --- | --- | --- | --- |
{headline}

Per plane; the interval of recall is exact (Clopper-Pearson).{scarce}

| plane | frames ({who}) | right | recall | interval | precision |
| --- | --- | --- | --- | --- | --- |
{per_plane}

Per machine{main}:

| machine | frames | right | top-1 | interval |
| --- | --- | --- | --- | --- |
{per_scanner}

## Calibration and abstention
Temperature {temperature:.3f}, inside the graph. The model abstains (`uncertain`) below a top-1 probability of
{min_probability:.3f} and (`out-of-distribution`) above a ood_score of {max_ood_score:.2f}: these turn away one validation frame in
twenty-five, and three of a hundred varied views of validation frames.

## Export
Largest difference between ONNX Runtime and PyTorch on validation frames: {probability_difference:.1e} in a
probability; {heat_map_relative_difference:.1e} of the maximum in a heat map, against Captum's LayerGradCam.

## Known limits
{limits}- Gray frames only: color is dropped before the model sees it.
- A frame of another organ or no ultrasound at all gets a plane too; abstention catches some of these, not all.
"""


_SPLITS = {
    "official": "The figures below are of the test split that comes with the data, whose {who} are in neither.",
    "patients": "The figures below are of a fifth of the {who}, who are in neither.",
    "frames": "The figures below are of a fifth of the frames, whatever woman they are of.",
}
_PUBLISHED_LIMITS = """\
- One country, two hospitals, four kinds of machine; Voluson S10 hardly occurs in training.
- `Other` stands for all else a sonographer may save, and was learned from few frames: expect it to be missed.
"""
_OWN_LIMITS = "- On frames of other machines, settings and populations than those of the data nothing was measured.\n"
_SCARCE = 50  # test frames of a plane; with fewer, the exact interval is some ten points wide at the least


def write_card(
    path: Path,
    manifest: Manifest,
    recipe: Recipe,
    outcome: Outcome,
    figures: Sequence[Metric],
    parity: dict[str, float],
    warnings: Sequence[str] = (),
) -> None:
    """Write `MODEL_CARD.md` from what was measured; `warnings` stand at its head."""
    network, data = recipe.network, manifest.training_data
    published = data.name.startswith("FETAL_PLANES_DB")
    who = "frames of unknown patients" if NO_PATIENTS in warnings else "women"
    rows = per_plane(outcome)
    scarce = [str(row["plane"]) for row in rows if int(row["frames"]) < _SCARCE]
    text = _TEMPLATE.format(
        name=manifest.name,
        version=manifest.version,
        count=len(manifest.planes),
        planes=", ".join(plane.label for plane in manifest.planes),
        backbone=f"EfficientNet-{network.backbone.capitalize()}",
        attention=network.attention,
        depth=network.mlp_layers,
        size=manifest.preprocessing.size,
        crop=manifest.preprocessing.crop,
        data=data.name,
        license=data.license,
        citation=data.citation,
        train_frames=data.train_frames,
        train_patients=data.train_patients,
        test_frames=len(outcome.records),
        test_patients=len({record.patient for record in outcome.records}),
        warnings="".join(f"\n**{warning}**\n" for warning in warnings),
        who=who,
        split=_SPLITS[recipe.split].format(who=who),
        scarce=f" **Too few frames to claim a rate: {', '.join(scarce)}.**" if scarce else "",
        main=", the four main planes" if outcome.main else "",
        limits=_PUBLISHED_LIMITS if published else _OWN_LIMITS,
        headline="\n".join(_headline_row(figure) for figure in figures),
        per_plane="\n".join(_plane_row(row) for row in rows),
        per_scanner="\n".join(_machine_row(row) for row in per_scanner(outcome)),
        temperature=manifest.temperature,
        min_probability=manifest.abstention.min_probability,
        max_ood_score=manifest.abstention.max_ood_score,
        **parity,
    )
    path.write_text(text, "utf-8")


def _headline_row(figure: Metric) -> str:
    interval = f"{figure.interval.low:.4f} to {figure.interval.high:.4f}" if figure.interval else ""
    return f"| {figure.name} | {figure.value:.4f} | {interval} | {figure.frames} |"


def _plane_row(row: Row) -> str:
    return (
        f"| {row['plane']} | {row['frames']} ({row['patients']}) | {row['right']} | {row['recall']:.3f} "
        f"| {row['recall_low']:.3f} to {row['recall_high']:.3f} | {row['precision']:.3f} |"
    )


def _machine_row(row: Row) -> str:
    return (
        f"| {row['scanner']} | {row['frames']} | {row['right']} | {row['top1']:.3f} "
        f"| {row['top1_low']:.3f} to {row['top1_high']:.3f} |"
    )
