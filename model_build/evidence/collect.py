"""Evidence about a model package beyond its accuracy: abstention on other inputs, and tests of its heat maps."""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from torch import Tensor

from model_build.data.datasets import eval_inputs
from model_build.data.formats import read_data
from model_build.data.frames import load_frames
from model_build.data.records import DataError, Record, planes_of
from model_build.data.splits import split_warnings, warn
from model_build.evaluation.metrics import Interval, patient_bootstrap
from model_build.evaluation.predictions import classify_frames, match_planes
from model_build.evaluation.tables import Row, write_table
from model_build.evidence.contact_sheet import Explainer, write_sheets
from model_build.evidence.doppler import color_rows, with_flow
from model_build.evidence.faithfulness import CENTER, MEASURES, Areas, compare, randomization, upsample
from model_build.evidence.gradient_shap import gradient_shap, smoothed
from model_build.evidence.ood_inputs import ood_inputs
from model_build.models.classifier import PlaneClassifier
from model_build.models.inference import predict
from model_build.run_dir import read_model, read_recipe, read_split
from service.analysis.abstention import abstain_reason
from service.imaging.letterbox import crop_and_letterbox, letterbox_box
from service.imaging.sector import Box
from service.inference.engine import Engine, Scores
from service.inference.package import load_package

Frame = NDArray[np.uint8]

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
    planes = engine.manifest.planes
    data_set = read_data(data)
    data_set = replace(data_set, planes=planes, records=match_planes(data_set, planes))
    split = read_split(run, data_set)
    warn(split_warnings(data_set, recipe, split))
    if not split.test:
        raise DataError(f"{data} has no test frames to explain")
    chosen = _first_of_each_plane(split.test, per_plane)
    frames = load_frames(chosen)
    inputs, labels = eval_inputs(frames, engine.manifest.preprocessing), torch.from_numpy(planes_of(chosen))
    require_same(engine, model, inputs)

    out.mkdir(parents=True, exist_ok=True)
    validation_frames = load_frames(split.val)
    write_table(out / "out_of_distribution.csv", ood_rows(engine, validation_frames))
    write_table(out / "color.csv", color_rows(validation_frames))
    areas, inside = measure_heat_maps(engine, model, frames)
    write_table(out / "faithfulness.csv", faithfulness_rows(areas, inside))
    write_table(out / "against_center.csv", against_center_rows(areas))
    correlations = randomization(model, inputs, labels)
    rows: list[Row] = [{"randomized": name, "rank_correlation": value} for name, value in correlations.items()]
    write_table(out / "randomization.csv", rows)
    test_frames = load_frames(split.test)
    predictions = classify_frames(engine, test_frames, split.test)
    write_sheets(Explainer(engine, model), test_frames, predictions, data_set.source, out)


def require_same(engine: Engine, model: PlaneClassifier, inputs: Tensor) -> None:
    """Raise ValueError if a network and a package give different probabilities for inputs uint8 [N, 1, S, S]."""
    ours = torch.softmax(predict(model, inputs) / engine.manifest.temperature, 1).numpy()
    theirs = np.stack([engine.score(pixels[0]).probabilities for pixels in inputs.numpy()])
    if ours.shape != theirs.shape or np.abs(ours - theirs).max() > _TOLERANCE:
        raise ValueError("the package was not built from this run: their probabilities for test frames differ")


def ood_rows(engine: Engine, validation_frames: Sequence[Frame]) -> list[Row]:
    """Return one row per kind of input: AUROC of the OOD score against validation frames, and shares of abstentions."""
    random = np.random.default_rng(0)
    doppler = [_gray(with_flow(frame, random)) for frame in validation_frames[:40]]
    own = [_score(engine, frame) for frame in validation_frames]
    rows = [_abstentions(engine, "validation frames", own, own)]
    for kind, frames in (ood_inputs() | {"color Doppler, gray": doppler}).items():
        rows.append(_abstentions(engine, kind, [_score(engine, frame) for frame in frames], own))
    return rows


def _abstentions(engine: Engine, kind: str, scores: Sequence[Scores], own: Sequence[Scores]) -> Row:
    ood_score = [score.ood_score for score in (*own, *scores)]
    reasons = [abstain_reason(score, engine.manifest.abstention) for score in scores]
    return {
        "input": kind,
        "frames": len(scores),
        "auroc": float(roc_auc_score([0] * len(own) + [1] * len(scores), ood_score)),
        "out-of-distribution": reasons.count("out-of-distribution") / len(scores),
        "uncertain": reasons.count("uncertain") / len(scores),
        "abstained": 1 - reasons.count(None) / len(scores),
    }


def measure_heat_maps(
    engine: Engine, model: PlaneClassifier, frames: Sequence[Frame]
) -> tuple[Areas, dict[str, float]]:
    """Return deletion and insertion of Grad-CAM, GradientSHAP and two baselines, and the share of heat on the frame.

    Only positive GradientSHAP counts, as in Grad-CAM.
    """
    size = engine.manifest.preprocessing.size
    prepared = [crop_and_letterbox(frame, engine.manifest.preprocessing) for frame in frames]
    inputs = [frame.pixels for frame in prepared]
    scores = [engine.score(pixels, with_features=True) for pixels in inputs]
    planes = [score.ranked()[0] for score in scores]
    cams = [engine.explain(score, plane).values for score, plane in zip(scores, planes, strict=True)]
    shaps = [gradient_shap(model, pixels, plane) for pixels, plane in zip(inputs, planes, strict=True)]
    heat_maps = {
        "Grad-CAM": [upsample(cam, size) for cam in cams],
        "GradientSHAP": [np.maximum(smoothed(shap), 0) for shap in shaps],
    }

    def probability(batch: NDArray[np.uint8], plane: int) -> NDArray[np.float32]:
        return np.array([engine.score(pixels[0]).probabilities[plane] for pixels in batch], np.float32)

    boxes = [letterbox_box(frame.crop.box.height, frame.crop.box.width, size) for frame in prepared]
    inside = {name: float(np.mean([*map(_share_inside, heats, boxes)])) for name, heats in heat_maps.items()}
    return compare(inputs, heat_maps, planes, probability), inside


def faithfulness_rows(areas: Areas, inside: dict[str, float]) -> list[Row]:
    """Return one row per method: the mean of each measure, and the share of its heat on the frame."""
    return [
        {
            "method": name,
            "frames": len(found),
            **{measure: float(np.mean([frame[measure] for frame in found])) for measure in MEASURES},
            "inside_the_sector_box": inside.get(name, ""),
        }
        for name, found in areas.items()
    ]


def against_center_rows(areas: Areas) -> list[Row]:
    """Return for each method and measure the mean gain over a Gaussian in the center, with its 95 % interval.

    There is one frame per patient, so a bootstrap over frames is one over patients.
    """
    rows: list[Row] = []
    for name, measure in itertools.product([name for name in areas if name != CENTER], MEASURES):
        sign = 1 if measure == "insertion" else -1  # low deletion is good
        pairs = zip(areas[name], areas[CENTER], strict=True)
        gains = np.array([sign * (own[measure] - center[measure]) for own, center in pairs])
        low, high = _mean_interval(gains)
        rows.append({"method": name, "measure": measure, "gain": float(gains.mean()), "low": low, "high": high})
    return rows


def _mean_interval(values: NDArray[np.float64]) -> Interval:
    return patient_bootstrap(lambda drawn: float(values[drawn].mean()), [str(row) for row in range(len(values))])


def _share_inside(heat: NDArray[np.float32], box: Box) -> float:
    return float(heat[box.top : box.bottom, box.left : box.right].sum() / max(heat.sum(), 1e-9))


def _score(engine: Engine, frame: Frame) -> Scores:
    return engine.score(crop_and_letterbox(frame, engine.manifest.preprocessing).pixels)


def _gray(colors: NDArray[np.uint8]) -> Frame:
    return np.asarray(cv2.cvtColor(colors, cv2.COLOR_BGR2GRAY), np.uint8)


def _first_of_each_plane(records: Sequence[Record], per_plane: int) -> list[Record]:
    """Return the first `per_plane` records of every plane, one per patient."""
    chosen: list[Record] = []
    for plane in sorted({record.plane for record in records}):
        first = {record.patient: record for record in reversed(records) if record.plane == plane}
        chosen += list(first.values())[:per_plane]
    return chosen
