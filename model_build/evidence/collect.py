"""Evidence about a model package beyond its accuracy: abstention on other inputs, and tests of its heat maps."""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from torch import Tensor

from model_build.data.datasets import eval_inputs
from model_build.data.formats import read_data
from model_build.data.frames import load_frames
from model_build.data.negatives.color_flow import with_gray_flow
from model_build.data.records import DataError, Frames, Record, planes_of
from model_build.data.splits import split_warnings, warn
from model_build.evaluation.metrics import patient_bootstrap
from model_build.evaluation.predictions import classify_frames, match_planes
from model_build.evaluation.tables import Row, write_table
from model_build.evidence.contact_sheet import Explainer, write_sheets
from model_build.evidence.doppler import color_rows
from model_build.evidence.faithfulness import CENTER, MEASURES, Areas, compare, randomization, upsample
from model_build.evidence.gradient_shap import smoothed
from model_build.evidence.ood_inputs import ood_inputs
from model_build.models.classifier import PlaneClassifier
from model_build.models.inference import predict
from model_build.run_dir import read_model, read_recipe, read_split
from service.analysis.abstention import abstain_reason
from service.imaging.letterbox import crop_and_letterbox, letterbox_box
from service.inference.engine import Engine
from service.inference.package import load_package

_TOLERANCE = 1e-3  # of a probability; ONNX Runtime and PyTorch differ by less than 1e-5


def write_evidence(run: Path, package: Path, data: Path, out: Path, per_plane: int = 10) -> None:
    """Write tables about a run and its package, and contact sheets of its heat maps.

    `out_of_distribution.csv` and `color.csv` use the validation frames. `faithfulness.csv`, `against_center.csv` and
    `randomization.csv` use at most `per_plane` test frames of every plane, one per patient. The contact sheets choose
    from all test frames.

    Raises
    ------
    ValueError
        The package was not built from this run.
    DataError
        The data set has a plane that the package does not know, or no test frames.
    """
    engine, model, recipe = Engine(load_package(package)), read_model(run), read_recipe(run)
    planes, explainer = engine.manifest.planes, Explainer(engine, model)
    data_set = read_data(data)
    data_set = replace(data_set, planes=planes, records=match_planes(data_set, planes))
    split = read_split(run, data_set)
    warn(split_warnings(data_set, recipe, split))
    if not split.test:
        raise DataError(f"{data} has no test frames to explain")
    chosen = _choose(split.test, per_plane)
    frames, labels = load_frames(chosen), planes_of(chosen)
    inputs = eval_inputs(frames, engine.manifest.preprocessing)
    require_same(engine, model, inputs)

    out.mkdir(parents=True, exist_ok=True)
    validation_frames = load_frames(split.val)
    write_table(out / "out_of_distribution.csv", ood_rows(engine, validation_frames))
    write_table(out / "color.csv", color_rows(validation_frames))
    areas, inside = measure_heat_maps(explainer, frames, labels)
    write_table(out / "faithfulness.csv", faithfulness_rows(areas, inside))
    write_table(out / "against_center.csv", against_center_rows(areas))
    correlations = randomization(model, inputs, torch.from_numpy(labels))
    rows: list[Row] = [{"randomized": name, "rank_correlation": value} for name, value in correlations.items()]
    write_table(out / "randomization.csv", rows)
    test_frames = load_frames(split.test)
    write_sheets(explainer, test_frames, classify_frames(engine, test_frames, split.test), data_set.source, out)


def _choose(records: Sequence[Record], per_plane: int) -> list[Record]:
    """Return the first records of `per_plane` patients of every plane."""
    chosen: list[Record] = []
    for plane in sorted({record.plane for record in records}):
        first = {record.patient: record for record in reversed(records) if record.plane == plane}
        chosen += list(first.values())[:per_plane]
    return chosen


def require_same(engine: Engine, model: PlaneClassifier, inputs: Tensor) -> None:
    """Raise ValueError if a network and a package give different probabilities for inputs uint8 [N, 1, S, S]."""
    ours = torch.softmax(predict(model, inputs) / engine.manifest.temperature, 1).numpy()
    theirs = np.stack([engine.score(pixels[0]).probabilities for pixels in inputs.numpy()])
    if ours.shape != theirs.shape or np.abs(ours - theirs).max() > _TOLERANCE:
        raise ValueError("the package was not built from this run: their probabilities for test frames differ")


def ood_rows(engine: Engine, validation_frames: Frames) -> list[Row]:
    """Return one row per kind of input: AUROC of the OOD score against validation frames, and shares of abstentions."""
    manifest, random = engine.manifest, np.random.default_rng(0)
    doppler = [with_gray_flow(frame, random) for frame in validation_frames[:40]]
    own: list[float] = []
    rows: list[Row] = []
    kinds = {"validation frames": validation_frames, **ood_inputs(), "color Doppler, gray": doppler}
    for kind, frames in kinds.items():
        scores = [engine.score(crop_and_letterbox(frame, manifest.preprocessing).pixels) for frame in frames]
        found = [score.ood_score for score in scores]
        own = own or found  # the validation frames come first
        reasons = [abstain_reason(score, manifest.abstention) for score in scores]
        row: Row = {"input": kind, "frames": len(frames)}
        row["auroc"] = float(roc_auc_score([0] * len(own) + [1] * len(found), own + found))
        row |= {reason: reasons.count(reason) / len(frames) for reason in ("out-of-distribution", "uncertain")}
        row["abstained"] = 1 - reasons.count(None) / len(frames)
        rows.append(row)
    return rows


def measure_heat_maps(
    explainer: Explainer, frames: Frames, labels: NDArray[np.int64]
) -> tuple[Areas, dict[str, float]]:
    """Return deletion and insertion of Grad-CAM, GradientSHAP and two baselines, and the share of heat on the frame.

    Only positive GradientSHAP counts, as in Grad-CAM.
    """
    engine, size = explainer.engine, explainer.engine.manifest.preprocessing.size
    cases = [explainer.explain(frame, label) for frame, label in zip(frames, labels.tolist(), strict=True)]
    heat_maps = {
        "Grad-CAM": [upsample(case.heat, size) for case in cases],
        "GradientSHAP": [np.maximum(smoothed(case.attribution), 0) for case in cases],
    }

    def probability(batch: NDArray[np.uint8], plane: int) -> NDArray[np.float32]:
        return np.array([engine.score(pixels[0]).probabilities[plane] for pixels in batch], np.float32)

    boxes = [letterbox_box(case.crop.height, case.crop.width, size) for case in cases]
    inside = {}
    for name, heats in heat_maps.items():
        pairs = zip(heats, boxes, strict=True)
        inside[name] = float(np.mean([float(box.cut(heat).sum() / max(heat.sum(), 1e-9)) for heat, box in pairs]))
    return compare([case.pixels for case in cases], heat_maps, [case.plane for case in cases], probability), inside


def faithfulness_rows(areas: Areas, inside: dict[str, float]) -> list[Row]:
    """Return one row per method: the mean of each measure, and the share of its heat on the frame."""
    rows: list[Row] = []
    for name, found in areas.items():
        row: Row = {"method": name, "frames": len(found)}
        row |= {measure: float(np.mean([frame[measure] for frame in found])) for measure in MEASURES}
        rows.append(row | {"inside_the_sector_box": inside.get(name, "")})
    return rows


def against_center_rows(areas: Areas) -> list[Row]:
    """Return for each method and measure the mean gain over a Gaussian in the center, with its 95 % interval.

    There is one frame per patient, so a bootstrap over frames is one over patients.
    """
    rows: list[Row] = []
    for name, measure in itertools.product([name for name in areas if name != CENTER], MEASURES):
        sign = 1 if measure == "insertion" else -1  # low deletion is good
        pairs = zip(areas[name], areas[CENTER], strict=True)
        gains = np.array([sign * (own[measure] - center[measure]) for own, center in pairs])
        low, high = patient_bootstrap(np.mean, [str(row) for row in range(len(gains))], gains).tolist()
        rows.append({"method": name, "measure": measure, "gain": float(gains.mean()), "low": low, "high": high})
    return rows
