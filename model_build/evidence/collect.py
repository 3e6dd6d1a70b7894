"""Evidence about a finished model beyond its accuracy: what it refuses, and whether its heat maps mean something."""

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
from model_build.data.records import DataError, Record, load_frames, planes_of
from model_build.data.splits import limits, make_split
from model_build.evaluation.metrics import Interval, patient_bootstrap
from model_build.evaluation.predictions import Row, match_planes, run_engine, write_table
from model_build.evidence.contact_sheet import write_sheets
from model_build.evidence.doppler import color_rows, with_flow
from model_build.evidence.faithfulness import CENTER, MEASURES, compare, enlarge, randomization
from model_build.evidence.gradient_shap import gradient_shap, smoothed
from model_build.evidence.ood_inputs import ood_inputs
from model_build.models.classifier import PlaneClassifier
from model_build.models.inference import predict
from model_build.run_dir import read_model, read_recipe
from model_build.training.run import warn
from service.analysis.abstention import abstain_reason
from service.imaging.letterbox import crop_and_letterbox, letterbox_box
from service.imaging.sector import Box
from service.inference.engine import Engine, Scores
from service.inference.package import load_package

Frame = NDArray[np.uint8]
Areas = dict[str, list[dict[str, float]]]  # by map, of every frame, by measure

_SAME = 1e-3  # of a probability: ONNX Runtime and PyTorch differ by less than a hundredth of it


def write_evidence(run: Path, package: Path, data: Path, out: Path, each: int = 10) -> None:
    """Write tables about a run and its package, and contact sheets of its heat maps.

    `out_of_distribution.csv` and `color.csv` are of the frames of the validation patients; `faithfulness.csv`,
    `against_center.csv` and `randomization.csv` of at most `each` test frames of every plane, one a patient; the sheets
    choose from all test frames.

    Raises
    ------
    ValueError
        The package was not made of this run.
    DataError
        The data have a plane that the package does not know, or no test frames.
    """
    engine, model, recipe = Engine(load_package(package)), read_model(run), read_recipe(run)
    data_set = read_data(data)
    data_set = replace(data_set, planes=engine.manifest.planes, records=match_planes(data_set, engine.manifest.planes))
    split = make_split(data_set, recipe)
    warn(limits(data_set, recipe, split))
    if not split.test:
        raise DataError(f"{data} has no test frames to explain")
    chosen = _some_of_each(split.test, each)
    frames = load_frames(chosen)
    views, planes = eval_inputs(frames, engine.manifest.preprocessing), torch.from_numpy(planes_of(chosen))
    require_same(engine, model, views)
    out.mkdir(parents=True, exist_ok=True)
    good = load_frames(split.val)
    write_table(out / "out_of_distribution.csv", ood_rows(engine, good))
    write_table(out / "color.csv", color_rows(good))
    areas, inside = measure_maps(engine, model, frames)
    write_table(out / "faithfulness.csv", faithfulness_rows(areas, inside))
    write_table(out / "against_center.csv", against_center_rows(areas))
    tested = load_frames(split.test)
    write_sheets(engine, model, tested, run_engine(engine, tested, split.test), data_set.source, out)
    write_table(  # last: it spoils the model
        out / "randomization.csv",
        [{"replaced": name, "rank_correlation": value} for name, value in randomization(model, views, planes).items()],
    )


def require_same(engine: Engine, model: PlaneClassifier, views: Tensor) -> None:
    """Raise ValueError where a network says another thing of views uint8 [N, 1, S, S] than a package."""
    ours = torch.softmax(predict(model, views) / engine.manifest.temperature, 1).numpy()
    theirs = np.stack([engine.score(view[0]).probabilities for view in views.numpy()])
    if ours.shape != theirs.shape or np.abs(ours - theirs).max() > _SAME:
        raise ValueError("the package was not made of this run: they differ in what they say of test frames")


def ood_rows(engine: Engine, good: Sequence[Frame]) -> list[Row]:
    """How well what is no fetal frame is told from good frames: AUROC of the ood_score, and the share refused."""
    random = np.random.default_rng(0)
    grayed = [np.asarray(cv2.cvtColor(with_flow(frame, random), cv2.COLOR_BGR2GRAY), np.uint8) for frame in good[:40]]
    inputs = ood_inputs() | {"color Doppler, gray": grayed}
    own = [_score(engine, frame) for frame in good]
    rows: list[Row] = [_refusals(engine, "validation frames", own, own)]
    return rows + [
        _refusals(engine, kind, [_score(engine, frame) for frame in frames], own) for kind, frames in inputs.items()
    ]


def _refusals(engine: Engine, kind: str, scores: Sequence[Scores], own: Sequence[Scores]) -> Row:
    ood_score = [score.ood_score for score in own] + [score.ood_score for score in scores]
    truth = [0] * len(own) + [1] * len(scores)
    reasons = [abstain_reason(score, engine.manifest.abstention) for score in scores]
    return {
        "input": kind,
        "count": len(scores),
        "auroc": float(roc_auc_score(truth, ood_score)),
        "out-of-distribution": reasons.count("out-of-distribution") / len(scores),
        "uncertain": reasons.count("uncertain") / len(scores),
        "refused": 1 - reasons.count(None) / len(scores),
    }


def measure_maps(engine: Engine, model: PlaneClassifier, frames: Sequence[Frame]) -> tuple[Areas, dict[str, float]]:
    """What deletion and insertion give for Grad-CAM, GradientSHAP and two baselines; the share of heat on the frame.

    GradientSHAP counts where it speaks for the plane, as Grad-CAM does.
    """
    size = engine.manifest.preprocessing.size
    prepared = [crop_and_letterbox(frame, engine.manifest.preprocessing) for frame in frames]
    views = [view for view, _ in prepared]
    scores = [engine.score(view, with_features=True) for view in views]
    planes = [score.ranked()[0] for score in scores]
    cams = [engine.explain(score, plane).values for score, plane in zip(scores, planes, strict=True)]
    shaps = [gradient_shap(model, view, plane) for view, plane in zip(views, planes, strict=True)]
    forward_features = {
        "Grad-CAM": [enlarge(cam, size) for cam in cams],
        "GradientSHAP": [np.maximum(smoothed(shap), 0) for shap in shaps],
    }

    def probability(batch: NDArray[np.uint8], plane: int) -> NDArray[np.float32]:
        return np.array([engine.score(view[0]).probabilities[plane] for view in batch], np.float32)

    boxes = [letterbox_box(crop.box.height, crop.box.width, size) for _, crop in prepared]
    inside = {name: float(np.mean([*map(_share_inside, heats, boxes)])) for name, heats in forward_features.items()}
    return compare(views, forward_features, planes, probability), inside


def faithfulness_rows(areas: Areas, inside: dict[str, float]) -> list[Row]:
    """One row a map: the mean of each measure, and the share of its heat on the frame."""
    return [
        {
            "map": name,
            "frames": len(found),
            **{measure: float(np.mean([each[measure] for each in found])) for measure in MEASURES},
            "inside_the_sector_box": inside.get(name, ""),
        }
        for name, found in areas.items()
    ]


def against_center_rows(areas: Areas) -> list[Row]:
    """How much better than a spot in the center a map is by each measure: mean over frames, 95 % interval.

    The frames are one a patient, so that drawing frames is drawing patients.
    """
    rows: list[Row] = []
    for name, measure in itertools.product([name for name in areas if name != CENTER], MEASURES):
        sign = 1 if measure == "insertion" else -1
        pairs = zip(areas[name], areas[CENTER], strict=True)
        gains = np.array([sign * (own[measure] - spot[measure]) for own, spot in pairs])
        low, high = _mean_interval(gains)
        rows.append({"map": name, "measure": measure, "better_by": float(gains.mean()), "low": low, "high": high})
    return rows


def _mean_interval(values: NDArray[np.float64]) -> Interval:
    return patient_bootstrap(lambda drawn: float(values[drawn].mean()), [str(row) for row in range(len(values))])


def _share_inside(heat: NDArray[np.float32], box: Box) -> float:
    return float(heat[box.top : box.bottom, box.left : box.right].sum() / max(heat.sum(), 1e-9))


def _score(engine: Engine, frame: Frame) -> Scores:
    return engine.score(crop_and_letterbox(frame, engine.manifest.preprocessing).pixels)


def _some_of_each(records: Sequence[Record], each: int) -> list[Record]:
    """The first `each` records of every plane, one a patient."""
    chosen: list[Record] = []
    for plane in sorted({record.plane for record in records}):
        first_of_each = {record.patient: record for record in reversed(records) if record.plane == plane}
        chosen += list(first_of_each.values())[:each]
    return chosen
