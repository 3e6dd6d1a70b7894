"""Reproduction of a recipe: train, package, evaluate, and compare with the published results.

A recipe that splits by frame, as the paper does, runs a second time with a split by patient. The difference is the
effect of the leak.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

from model_build.data.formats import read_data
from model_build.data.frames import open_frames
from model_build.data.records import DatasetIndex
from model_build.data.splits import Split
from model_build.evaluation.headline import measure
from model_build.evaluation.metrics import macro_f1, top_k_rate
from model_build.evaluation.predictions import Predictions, classify_frames
from model_build.evaluation.tables import Row, write_table
from model_build.packaging.build import build_package
from model_build.packaging.model_card import render
from model_build.packaging.trained_run import PackageOptions
from model_build.recipe import Recipe
from model_build.run_dir import read_split
from model_build.training.run import train_run
from model_build.training.trainer import RunOptions
from service.inference.engine import Engine
from service.inference.package import load_package

PUBLISHED: Row = {
    "run": "published (Sivasubramanian et al. 2025)",
    "data": "FETAL_PLANES_DB, 12,400 frames",
    "test_frames": "",
    "top1": 0.9625,
    "top1_low": "",
    "top1_high": "",
    "top2": 0.9980,
    "macro_f1": 0.9576,
}
_NAMES = {"official": "split of the data set", "patients": "80:20 by patient", "frames": "80:20 by frame"}


def reproduce(recipe: Recipe, data: Path, out: Path, version: str, options: RunOptions) -> None:
    """Train, package and evaluate a recipe; a second call skips what is finished.

    Training frames that show the same picture as a held-out frame are dropped: the published data set has such pairs.
    The function writes a run and a package for each split, `table.csv` and `report.md` into `out`. The first row of the
    table holds the published results.
    """
    splits = ("frames", "patients") if recipe.split == "frames" else (recipe.split,)
    data_set = read_data(data)
    rows = [PUBLISHED]
    for split in splits:
        variant = recipe.model_copy(update={"split": split})
        run, package = out / f"run-{split}", out / f"package-{split}"
        if not (run / "model.pt").exists():
            train_run(variant, data, run, replace(options, resume=True, drop_near_duplicates=True))
        if options.distributed.is_main:
            if not package.exists():
                package_options = PackageOptions(f"reproduced-{split}", version, cache=options.cache, force=True)
                build_package(run, data, package, package_options)  # a bad result is a result of a reproduction, too
            rows += _score(package, data_set, read_split(run, data_set), split, options.cache)
        options.distributed.barrier()
    if options.distributed.is_main:
        write_table(out / "table.csv", rows)
        report = render("experiments/reproduction_report.md.jinja", rows=rows, data=data_set)
        (out / "report.md").write_text(report, "utf-8")


def _score(package: Path, data: DatasetIndex, split: Split, kind: str, cache: Path | None) -> list[Row]:
    engine = Engine(load_package(package))
    predictions = classify_frames(engine, open_frames(data.records, cache)(split.test), split.test)
    subsets = {_NAMES[kind]: np.ones(len(split.test), np.bool_)}
    if kind == "frames":
        known = np.isin(predictions.patients, [record.patient for record in (*split.train, *split.val)])
        subsets |= {f"{_NAMES[kind]}: patients in training": known, f"{_NAMES[kind]}: patients not in training": ~known}
    return [_row(name, data, predictions.select(mask)) for name, mask in subsets.items() if mask.any()]


def _row(name: str, data: DatasetIndex, predictions: Predictions) -> Row:
    top1 = measure("top1", predictions, "test")
    return {
        "run": name,
        "data": data.source.name,
        "test_frames": top1.n,
        "top1": top1.value,
        "top1_low": top1.low or 0.0,
        "top1_high": top1.high or 0.0,
        "top2": top_k_rate(predictions.probabilities, predictions.labels, 2),
        "macro_f1": macro_f1(predictions.probabilities, predictions.labels),
    }
