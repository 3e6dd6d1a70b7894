"""The commands `package`, `quantize`, `import-weights`, `evaluate` and `evidence`."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from model_build.cli.options import (
    CACHE,
    DATA,
    ORGANS,
    PACKAGING,
    RECIPE,
    STRETCHED,
    Subparsers,
    add_command,
    package_options,
)

if TYPE_CHECKING:
    from service.schemas.manifest import Metric


def register(subparsers: Subparsers) -> None:
    """Add the commands to the parser."""
    text = "calibrate, export, verify and evaluate a run as a model package"
    package = add_command(subparsers, "package", _package, text, DATA, PACKAGING, CACHE)
    package.add_argument("run", type=Path, help="run directory that `train` or `average-weights` wrote")
    package.add_argument("package", type=Path, help="folder of the model package to write")
    corrected = "folder of corrected frames that the run was trained with, see `improve`"
    package.add_argument("--corrections", type=Path, metavar="FOLDER", help=corrected)
    text = "fit temperatures, OOD terms and thresholds again, where the run keeps those of an imported package"
    package.add_argument("--refit", action="store_true", help=text)
    text = "package a model that is not better than always answering the most frequent plane"
    package.add_argument("--force", action="store_true", help=text)
    package.add_argument("--replace", action="store_true", help="replace a package that is in the folder already")

    text = "add INT8 to a copy of a model package, with the same float32"
    quantize = add_command(subparsers, "quantize", _quantize, text, DATA, STRETCHED, ORGANS, CACHE)
    text = "run directory that the package was built from, or that `import-weights` made of it"
    quantize.add_argument("run", type=Path, help=text)
    quantize.add_argument("package", type=Path, help="folder of the model package")
    quantize.add_argument("--corrections", type=Path, metavar="FOLDER", help=corrected)
    quantize.add_argument("out", type=Path, help="folder of the model package to write")
    quantize.add_argument("--replace", action="store_true", help="replace a package that is in the folder already")

    text = "turn a model package back into a run directory, to package it again or to train on"
    weights = add_command(subparsers, "import-weights", _import_weights, text, DATA, STRETCHED, RECIPE)
    weights.add_argument("package", type=Path, help="folder of the model package")
    weights.add_argument("run", type=Path, help="run directory to write")

    evaluate = add_command(subparsers, "evaluate", _evaluate, "evaluate a model package on labeled frames", DATA)
    evaluate.add_argument("package", type=Path, help="folder of the model package")
    evaluate.add_argument("--split", choices=("train", "val", "test", "all"), default="test", help="default: test")
    evaluate.add_argument("--out", type=Path, required=True, help="folder to write report/ to")

    text = "test abstention and heat maps of a model package"
    evidence = add_command(subparsers, "evidence", _evidence, text, DATA)
    evidence.add_argument("run", type=Path, help="run directory that the package was built from")
    evidence.add_argument("package", type=Path, help="folder of the model package")
    text = "folder for the tables and the contact sheets, which show frames of the data set (default: evidence)"
    evidence.add_argument("--out", type=Path, default=Path("evidence"), help=text)


def _package(options: argparse.Namespace) -> None:
    from model_build.packaging.build import build_package

    package = replace(package_options(options), replace=options.replace, refit=options.refit)
    _print(build_package(options.run, options.data, options.package, package))


def _quantize(options: argparse.Namespace) -> None:
    from model_build.packaging.build import quantize_package
    from model_build.packaging.trained_run import PackageOptions
    from service.inference.package import load_package

    manifest = load_package(options.package).manifest
    package = PackageOptions(
        manifest.name,
        manifest.version,
        stretched=options.stretched,
        organs=options.other_organs,
        corrections=options.corrections,
        cache=options.cache,
        replace=options.replace,
    )
    for each in quantize_package(options.run, options.data, options.package, options.out, package):
        verdict = "" if each.passes else "; FAILS"
        sys.stdout.write(f"{each.sentence()}{verdict}\n")


def _import_weights(options: argparse.Namespace) -> None:
    from model_build.packaging.import_onnx_weights import import_onnx_weights
    from model_build.recipe import load_recipe

    import_onnx_weights(options.package, load_recipe(options.recipe), options.run, options.data, options.stretched)


def _evaluate(options: argparse.Namespace) -> None:
    from model_build.evaluation.report import evaluate_package

    _print(evaluate_package(options.package, options.data, options.split, options.out))


def _evidence(options: argparse.Namespace) -> None:
    from model_build.evidence.collect import write_evidence

    write_evidence(options.run, options.package, options.data, options.out)


def _print(metrics: Sequence["Metric"]) -> None:
    for metric in metrics:
        note = "" if metric.baseline is None else f"; baseline: {metric.baseline:.4f}"
        if metric.metric == "coverage":
            note = f"; turned away: {round((1 - metric.value) * metric.n)}"
        sys.stdout.write(f"{metric.metric}, {metric.subset}: {metric.value:.4f} ({metric.n} frames{note})\n")
