"""`MODEL_CARD.md`: purpose, data, results and limits of a model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from model_build.data.formats.own_data import NO_PATIENTS
from model_build.evaluation.headline import NAMES
from model_build.evaluation.predictions import Predictions
from model_build.evaluation.sub_planes import SubPlaneEvaluation, per_sub_plane
from model_build.evaluation.tables import per_plane, per_scanner
from model_build.recipe import Recipe
from service.schemas.manifest import Manifest, Metric

MODEL_CARD = "MODEL_CARD.md"
_SCARCE = 50  # test frames of a plane; with fewer, the exact interval is at least ten points wide
_NUMBER_WORDS = {2: "two", 3: "three", 4: "four", 5: "five", 6: "six", 7: "seven", 8: "eight"}
_SPLITS = {
    "official": "The results are of the test split that the data set states; it shares no {patients} with training.",
    "patients": "The results are of a random fifth of the {patients}, who are not in training.",
    "frames": "The results are of a random fifth of the frames, and some of their {patients} are also in training.",
}


@dataclass(frozen=True, eq=False)
class CardInputs:
    """Everything that a model card reports.

    Attributes
    ----------
    predictions
        Predictions on the test split.
    parity
        What `check_parity` returns.
    warnings
        Sentences at the top of the card.
    """

    manifest: Manifest
    recipe: Recipe
    predictions: Predictions
    parity: Mapping[str, float]
    warnings: Sequence[str] = field(default=())
    sub_planes: SubPlaneEvaluation | None = None


def write_card(folder: Path, inputs: CardInputs) -> None:
    """Write `MODEL_CARD.md` into a folder."""
    manifest, predictions = inputs.manifest, inputs.predictions
    patients = "unknown patients" if NO_PATIENTS in inputs.warnings else "patients"
    rows = per_plane(predictions)
    count = len(manifest.planes)
    text = render_markdown(
        "model_build.packaging",
        "model_card.md.jinja",
        manifest=manifest,
        network=inputs.recipe.network,
        data=manifest.training_data,
        predictions=predictions,
        metrics=manifest.metrics,
        parity=inputs.parity,
        warnings=inputs.warnings,
        sub_planes=_sub_planes(inputs.sub_planes) if inputs.sub_planes else None,
        patients=patients,
        split=_SPLITS[inputs.recipe.split].format(patients=patients),
        names=NAMES,
        subsets={"main": "four main planes", "all": f"{_NUMBER_WORDS.get(count, count)} planes"},
        per_plane=rows,
        per_scanner=per_scanner(predictions),
        scarce=[row["plane"] for row in rows if int(row["frames"]) < _SCARCE],
        published=manifest.training_data.name.startswith("FETAL_PLANES_DB"),
        interval=_with_interval,
    )
    (folder / MODEL_CARD).write_text(text, "utf-8")


def render_markdown(package: str, template: str, **values: object) -> str:
    """Return a template of a Python package, filled with values; a value that is missing is an error."""
    environment = Environment(  # noqa: S701 - Markdown needs no HTML escaping
        loader=PackageLoader(package, "."), undefined=StrictUndefined, trim_blocks=True, keep_trailing_newline=True
    )
    return environment.get_template(template).render(values)


def _sub_planes(evaluation: SubPlaneEvaluation) -> dict[str, object]:
    metrics = {(metric.split == "val", metric.metric): metric for metric in evaluation.metrics}
    return {
        "rows": per_sub_plane(evaluation.predictions),
        "macro_f1": metrics[False, "macro_f1"],
        "accuracy": metrics[False, "top1"],
        "calibration_error": metrics[False, "calibration_error"],
        "val_macro_f1": metrics[True, "macro_f1"],
    }


def _with_interval(metric: Metric) -> str:
    return f"{metric.value:.3f} ({metric.low:.3f} to {metric.high:.3f})"
