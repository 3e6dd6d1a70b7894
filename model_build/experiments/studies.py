"""Questions that take several trainings: other machines, cross-validation, ablation.

Each training has its folder and its `result.json`; what is there is not trained again, so that an experiment goes on
where it was interrupted.
"""

import itertools
import json
import statistics
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.flop_counter import FlopCounterMode

from model_build.data.datasets import eval_and_augmented_inputs
from model_build.data.formats import read_data
from model_build.data.frames import load_frames
from model_build.data.labels import main_planes
from model_build.data.records import DataError, Dataset, Record, planes_of
from model_build.data.splits import make_split, patient_folds
from model_build.evaluation.metrics import exact_interval, macro_f1, top_k
from model_build.evaluation.predictions import Outcome, Row, per_plane
from model_build.evaluation.validation import TIMES, mean_log_loss, softmax
from model_build.models.classifier import PlaneClassifier, create_classifier
from model_build.recipe import Recipe
from model_build.training.distributed import Distributed
from model_build.training.run import warn
from model_build.training.trainer import RunOptions, Trainer
from service.schemas.manifest import Plane

Frames = dict[Path, NDArray[np.uint8]]


def leave_one_scanner_out(recipe: Recipe, data: Path, out: Path, scanners: Sequence[str], device: str) -> list[Row]:
    """Leave one machine out: train without it, score it; official train split only.

    The estimate of transfer that the data allow. A machine's frames are all its frames: no patient was seen on two.
    Where the four main planes of FETAL_PLANES_DB are among others, they alone are scored.

    Raises
    ------
    DataError
        A machine has no frame to score.
    """
    data_set = read_data(data)
    warn(data_set.warnings)
    records = data_set.side("train")
    scored = main_planes([plane.id for plane in data_set.planes]) or range(len(data_set.planes))
    foreign = sorted(set(scanners) - {record.scanner for record in records if record.plane in scored})
    if foreign:
        known = ", ".join(sorted({record.scanner for record in records}))
        raise DataError(f"no frame to train on is of machine {', '.join(foreign)}; the data have: {known}")
    frames = _load(records)
    rows: list[Row] = []
    for scanner in scanners:
        val = [record for record in records if record.scanner == scanner and record.plane in scored]
        patients = {record.patient for record in records if record.scanner == scanner}
        rest = [record for record in records if record.scanner != scanner and record.patient not in patients]
        folder = out / scanner.lower().replace(" ", "-")
        result = _trained(recipe, data_set.planes, frames, rest, val, folder, device)
        rows.append({"scanner": scanner, "trained_on": len(rest), **_scores(result, val)})
    return rows


def cross_validate(recipe: Recipe, data: Path, out: Path, folds: int, device: str) -> list[Row]:
    """Patient-wise cross-validation over all frames of all planes, test split included: an estimate, never a choice.

    One row a plane: recall over the held-out frames of all folds, with its exact interval.
    """
    data_set = read_data(data)
    warn(data_set.warnings)
    planes, records = data_set.planes, data_set.records
    frames = _load(records)
    probabilities = np.zeros((len(records), len(planes)), np.float32)
    for number, val in enumerate(patient_folds(records, folds, seed=0)):
        inside = set(val.tolist())
        rest = [record for row, record in enumerate(records) if row not in inside]
        val_records = [records[row] for row in val]
        probabilities[val] = _trained(recipe, planes, frames, rest, val_records, out / f"fold-{number}", device)
    unasked = np.zeros(len(records), np.float32)  # nothing abstains here
    return per_plane(Outcome(records, probabilities, unasked, unasked > 0, planes))


def ablate(
    recipe: Recipe,
    data: Path,
    out: Path,
    *,
    backbones: Sequence[str],
    attentions: Sequence[str],
    depths: Sequence[int],
    seeds: int,
    device: str,
) -> list[Row]:
    """Train every combination with every seed, and score it on the validation patients' frames, served and varied."""
    data_set = read_data(data)
    warn(data_set.warnings)
    records, val, _ = make_split(data_set, recipe)
    frames, planes = _load([*records, *val]), planes_of(val)
    rows: list[Row] = []
    for backbone, attention, depth in itertools.product(backbones, attentions, depths):
        network = recipe.network.model_copy(update={"backbone": backbone, "attention": attention, "mlp_layers": depth})
        served, varied, losses = [], [], []
        for variant in _seeds(recipe.model_copy(update={"network": network}), seeds):
            folder = out / f"{backbone}-{attention}-{depth}-{variant.seed}"
            each = _trained(variant, data_set.planes, frames, records, val, folder, device, times=TIMES)
            right = top_k(each, np.tile(planes, 1 + TIMES), 1)
            served.append(float(right[: len(val)].mean()))
            varied.append(float(right[len(val) :].mean()))
            losses.append(mean_log_loss(each[len(val) :], np.tile(planes, TIMES)))
        model = create_classifier(network, len(data_set.planes))
        rows.append(
            {
                "backbone": backbone,
                "attention": attention,
                "mlp_layers": depth,
                "seeds": seeds,
                "top1": statistics.mean(served),
                "varied_top1": statistics.mean(varied),
                "varied_top1_least": min(varied),
                "varied_top1_most": max(varied),
                "varied_loss": statistics.mean(losses),
                "parameters": sum(parameter.numel() for parameter in model.parameters()),
                "macs": multiply_adds(model, recipe.preprocessing.size),
                "milliseconds_one_thread": latency(model, recipe.preprocessing.size),
            }
        )
    return rows


def multiply_adds(model: PlaneClassifier, size: int) -> int:
    """Multiply-adds of one frame's forward pass, as PyTorch counts them."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.eval()(torch.zeros(1, 1, size, size))
    return int(counter.get_total_flops()) // 2


def latency(model: PlaneClassifier, size: int, runs: int = 20) -> float:
    """Median milliseconds of one frame in PyTorch on one thread; compare only figures of the same call."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    frames, times = torch.zeros(1, 1, size, size), []
    with torch.inference_mode():
        for _ in range(runs):
            start = time.perf_counter()
            model.eval()(frames)
            times.append(time.perf_counter() - start)
    torch.set_num_threads(threads)
    return statistics.median(times) * 1000


def _load(records: Sequence[Record]) -> Frames:
    return {record.path: frame for record, frame in zip(records, load_frames(records), strict=True)}


def _seeds(recipe: Recipe, count: int) -> Iterator[Recipe]:
    return (recipe.model_copy(update={"seed": seed}) for seed in range(count))


def _trained(
    recipe: Recipe,
    planes: Sequence[Plane],
    frames: Frames,
    records: Sequence[Record],
    val: Sequence[Record],
    folder: Path,
    device: str,
    times: int = 0,
) -> NDArray[np.float32]:
    """Probabilities float32 of held-out frames by a network trained on the records; kept in the folder.

    [N * (1 + times), K]: of the frames as served, and after them of `times` varied views of each.
    """
    result = folder / "result.json"
    if not result.exists():
        train_data = Dataset([frames[record.path] for record in records], records)
        val_data = Dataset([frames[record.path] for record in val], val)
        options = RunOptions(Distributed(device), resume=True)
        network = Trainer(recipe, train_data, val_data, folder, planes, options).train()
        views = eval_and_augmented_inputs(val_data, recipe, times)
        result.write_text(json.dumps(softmax(network.classifier, views).tolist()), "utf-8")
        (folder / "checkpoint.pt").unlink()
    return np.array(json.loads(result.read_text("utf-8")), np.float32)


def _scores(probabilities: NDArray[np.float32], val: Sequence[Record]) -> Row:
    planes = planes_of(val)
    hits = int(top_k(probabilities, planes, 1).sum())
    interval = exact_interval(hits, len(val))
    return {
        "frames": len(val),
        "top1": hits / len(val),
        "top1_low": interval.low,
        "top1_high": interval.high,
        "macro_f1": macro_f1(probabilities, planes),
    }
