"""Evidence about a finished model beyond its accuracy: what it refuses, and whether its heat maps mean something."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from model_build.coloured import colour_rows, with_flow
from model_build.data import PLANES, Record, carve_validation, load_frames, planes_of, read_records
from model_build.evaluate import Row, write_table
from model_build.faithfulness import compare, enlarge, randomisation
from model_build.run_folder import read_model, read_recipe
from model_build.unfamiliar import unfamiliar_inputs
from model_build.views import served_views
from service.imaging.preprocess import placement, prepare
from service.inference.engine import Engine, Scores
from service.inference.package import load_package

Frame = NDArray[np.uint8]


def write_evidence(run: Path, package: Path, data: Path, out: Path, each: int = 10) -> None:
    """Write `unfamiliar.csv`, `colour.csv`, `faithfulness.csv` and `randomisation.csv` about a run and its package.

    Good frames are those of the validation patients; heat maps are of `each` test frames of every main plane.
    """
    out.mkdir(parents=True, exist_ok=True)
    engine = Engine(load_package(package))
    recipe = read_recipe(run)
    records = read_records(data)
    _, held = carve_validation([record for record in records if record.split == "train"], recipe.validation_folds)
    good = load_frames(held)
    write_table(out / "unfamiliar.csv", unfamiliar_rows(engine, good))
    write_table(out / "colour.csv", colour_rows(good))
    chosen = _some_of_each([record for record in records if record.split == "test"], each)
    frames = load_frames(chosen)
    write_table(out / "faithfulness.csv", faithfulness_rows(engine, frames))
    model, views = read_model(run), served_views(frames, recipe.preprocessing)
    planes = torch.from_numpy(planes_of(chosen))
    write_table(
        out / "randomisation.csv",
        [{"replaced": name, "rank_correlation": value} for name, value in randomisation(model, views, planes).items()],
    )


def unfamiliar_rows(engine: Engine, good: Sequence[Frame]) -> list[Row]:
    """How well what is no fetal frame is told from good frames: AUROC of the novelty, and the share refused."""
    random = np.random.default_rng(0)
    greyed = [np.asarray(cv2.cvtColor(with_flow(frame, random), cv2.COLOR_BGR2GRAY), np.uint8) for frame in good[:40]]
    inputs = unfamiliar_inputs() | {"colour Doppler, grey": greyed}
    own = [_score(engine, frame) for frame in good]
    rows: list[Row] = [_refusals(engine, "validation frames", own, own)]
    return rows + [
        _refusals(engine, kind, [_score(engine, frame) for frame in frames], own) for kind, frames in inputs.items()
    ]


def _refusals(engine: Engine, kind: str, scores: Sequence[Scores], own: Sequence[Scores]) -> Row:
    novelty = [score.novelty for score in own] + [score.novelty for score in scores]
    truth = [0] * len(own) + [1] * len(scores)
    reasons = [engine.abstains(score) for score in scores]
    return {
        "input": kind,
        "count": len(scores),
        "auroc": float(roc_auc_score(truth, novelty)),
        "unfamiliar": reasons.count("unfamiliar") / len(scores),
        "uncertain": reasons.count("uncertain") / len(scores),
        "refused": 1 - reasons.count(None) / len(scores),
    }


def faithfulness_rows(engine: Engine, frames: Sequence[Frame]) -> list[Row]:
    """Deletion and insertion of Grad-CAM and of two baselines, and the share of heat that lies on the frame."""
    preprocessing = engine.manifest.preprocessing
    prepared = [prepare(frame, preprocessing) for frame in frames]
    views = [view for view, _ in prepared]
    scores = [engine.score(view, with_features=True) for view in views]
    planes = [score.ranked()[0] for score in scores]
    raw = [engine.explain(score, plane).values for score, plane in zip(scores, planes, strict=True)]
    heats = [enlarge(heat, preprocessing.size) for heat in raw]

    def probability(batch: NDArray[np.uint8], plane: int) -> NDArray[np.float32]:
        return np.array([engine.score(view[0]).probabilities[plane] for view in batch], np.float32)

    inside = []
    for heat, (_, crop) in zip(heats, prepared, strict=True):
        box = placement(crop.height, crop.width, preprocessing.size)
        inside.append(float(heat[box.top : box.bottom, box.left : box.right].sum() / max(heat.sum(), 1e-9)))
    return [
        {
            "map": name,
            "frames": len(frames),
            "deletion": result.deletion,
            "insertion": result.insertion,
            "inside_the_sector_box": float(np.mean(inside)) if name == "Grad-CAM" else "",
        }
        for name, result in compare(views, heats, planes, probability).items()
    ]


def _score(engine: Engine, frame: Frame) -> Scores:
    return engine.score(prepare(frame, engine.manifest.preprocessing)[0])


def _some_of_each(records: Sequence[Record], each: int) -> list[Record]:
    """The first `each` records of every plane, one a patient."""
    chosen: list[Record] = []
    for plane in range(len(PLANES)):
        first_of_each = {record.patient: record for record in reversed(records) if record.plane == plane}
        chosen += list(first_of_each.values())[:each]
    return chosen
