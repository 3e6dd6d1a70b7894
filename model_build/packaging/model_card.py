"""`MODEL_CARD.md`: purpose, data, results and limits of a model."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from model_build.data.records import NOT_STATED
from model_build.data.splits import find_test_side
from model_build.evaluation.headline import Evaluation
from model_build.evaluation.selective import coverage_rows
from model_build.evaluation.sub_planes import per_sub_plane
from model_build.evaluation.tables import per_plane, per_scanner
from model_build.packaging.int8.gates import Comparison
from model_build.packaging.int8.graph import FLOAT_CONVOLUTIONS
from model_build.packaging.ood.fit import OOD_SHARE
from model_build.packaging.trained_run import TrainedRun
from service.schemas.manifest import Manifest

CARD = "MODEL_CARD.md"


def write_card(
    folder: Path, manifest: Manifest, trained: TrainedRun, evaluation: Evaluation, parity: Mapping[str, float]
) -> None:
    """Write `MODEL_CARD.md` into a folder; `parity` is from `check_parity`."""
    limits = zip(manifest.planes, manifest.abstention.max_ood_score, strict=True)
    general = max(manifest.abstention.max_ood_score)
    text = render(
        "packaging/model_card.md.jinja",
        manifest=manifest,
        recipe=trained.recipe,
        predictions=evaluation.predictions,
        calibration=evaluation.calibration,
        ood_share=OOD_SHARE,
        strict=[(plane.label, limit) for plane, limit in limits if limit < general],
        parity=parity,
        published=trained.data.published,
        named=trained.data.named,
        test_side=find_test_side(trained.data, trained.recipe),
        patients_known=trained.data.patients_known,
        not_stated=NOT_STATED,
        turned_away=int(evaluation.predictions.abstained.sum()),
        val_frames=len(trained.split.val),
        per_plane=per_plane(evaluation.predictions),
        groups=_groups(trained),
        coverage=coverage_rows(evaluation.predictions, manifest.prediction_sets) if manifest.prediction_sets else (),
        per_scanner=per_scanner(evaluation.predictions),
        sub_planes=evaluation.sub_planes,
        per_sub_plane=per_sub_plane(evaluation.sub_planes.predictions) if evaluation.sub_planes else (),
    )
    (folder / CARD).write_text(text, "utf-8")


def write_int8_section(folder: Path, comparisons: Sequence[Comparison]) -> None:
    """Write the section about INT8 at the end of the model card of a folder, in the place of an earlier one."""
    path = folder / CARD
    card = re.sub(r"\n## INT8\n.*?(?=\n## |\Z)", "", path.read_text("utf-8"), flags=re.DOTALL)
    failures = [each for each in comparisons if each.split == "val" and not each.passes]
    section = render(
        "packaging/int8/card_section.md.jinja",
        comparisons=comparisons,
        failures=failures,
        float_convolutions=FLOAT_CONVOLUTIONS,
    )
    path.write_text(f"{card.rstrip()}\n\n{section}", "utf-8")


def _groups(trained: TrainedRun) -> dict[str, dict[str, dict[str, int]]]:
    """Return, for each plane with groups and each group, its numbers of training and of test frames."""
    groups: dict[str, dict[str, dict[str, int]]] = {}
    for side in ("train", "test"):
        for record in getattr(trained.split, side):
            if record.group:
                counts = groups.setdefault(trained.data.planes[record.plane].label, {})
                counts.setdefault(record.group, {"train": 0, "test": 0})[side] += 1
    return groups


def render(template: str, **values: object) -> str:
    """Return the Markdown of a template, a path inside `model_build`."""
    environment = Environment(  # noqa: S701 - the output is Markdown, which needs no HTML escaping
        loader=PackageLoader("model_build", "."),
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(template).render(values)
