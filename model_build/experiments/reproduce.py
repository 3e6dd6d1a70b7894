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
from model_build.evaluation.metrics import macro_f1, patient_bootstrap, top_k
from model_build.evaluation.predictions import Predictions, classify_frames
from model_build.evaluation.tables import Row, write_table
from model_build.packaging.build import build_package
from model_build.packaging.model_card import render_markdown
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


def reproduce(recipe: Recipe, data: Path, out: Path, version: str, options: RunOptions) -> list[Row]:
    """Train, package and evaluate a recipe; a second call skips what is finished.

    Training frames that show the same picture as a held-out frame are dropped: the published data set has such pairs.
    The function writes a run and a package for each split, `table.csv` and `report.md` into `out`.

    Returns
    -------
    The rows of the table; the first row holds the published results.
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
                package_options = PackageOptions(f"reproduced-{split}", version, cache=options.cache)
                build_package(run, data, package, package_options)
            rows += _score(package, data_set, read_split(run, data_set), split, options.cache)
        options.distributed.barrier()
    if options.distributed.is_main:
        write_table(out / "table.csv", rows)
        report = render_markdown("model_build.experiments", "reproduction_report.md.jinja", rows=rows, data=data_set)
        (out / "report.md").write_text(report, "utf-8")
    return rows


def _score(package: Path, data: DatasetIndex, split: Split, kind: str, cache: Path | None) -> list[Row]:
    name = _NAMES[kind]
    engine = Engine(load_package(package))
    predictions = classify_frames(engine, open_frames(data.records, cache)(split.test), split.test)
    rows = [_row(name, data, predictions)]
    if kind == "frames":
        seen = {record.patient for record in (*split.train, *split.val)}
        known = np.array([patient in seen for patient in predictions.patients])
        subsets = {"patients in training": known, "patients not in training": ~known}
        rows += [
            _row(f"{name}: {subset}", data, predictions.select(mask)) for subset, mask in subsets.items() if mask.any()
        ]
    return rows


def _row(name: str, data: DatasetIndex, predictions: Predictions) -> Row:
    probabilities, labels = predictions.probabilities, predictions.labels
    hits = top_k(probabilities, labels, 1)
    interval = patient_bootstrap(lambda rows: float(hits[rows].mean()), predictions.patients)
    return {
        "run": name,
        "data": data.source.name,
        "test_frames": len(labels),
        "top1": float(hits.mean()),
        "top1_low": interval.low,
        "top1_high": interval.high,
        "top2": float(top_k(probabilities, labels, 2).mean()),
        "macro_f1": macro_f1(probabilities, labels),
    }
