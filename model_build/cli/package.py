"""The commands `package`, `evaluate` and `evidence`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from model_build.cli.options import Subparsers, add_cache, add_data, add_stretched

if TYPE_CHECKING:
    from service.schemas.manifest import Metric


def register(subparsers: Subparsers) -> None:
    """Add the commands to the parser."""
    command = subparsers.add_parser("package", help="calibrate, export, verify and evaluate a run as a model package")
    command.add_argument("run", type=Path, help="run directory that `train` or `average-weights` wrote")
    command.add_argument("package", type=Path, help="folder of the model package to write")
    add_data(command)
    add_stretched(command)
    command.add_argument("--name", default="fetal-planes", help="name of the model (default: fetal-planes)")
    command.add_argument("--version", required=True, help="version of the model")
    add_cache(command)
    command.set_defaults(command=_package)

    command = subparsers.add_parser("evaluate", help="evaluate a model package on labeled frames")
    command.add_argument("package", type=Path, help="folder of the model package")
    add_data(command)
    command.add_argument("--split", choices=("train", "test", "all"), default="test", help="default: test")
    command.add_argument("--out", type=Path, required=True, help="folder to write report/ to")
    command.set_defaults(command=_evaluate)

    command = subparsers.add_parser("evidence", help="test abstention and heat maps of a model package")
    command.add_argument("run", type=Path, help="run directory that the package was built from")
    command.add_argument("package", type=Path, help="folder of the model package")
    add_data(command)
    command.add_argument(
        "--out",
        type=Path,
        default=Path("evidence"),
        help="folder for the tables and the contact sheets, which show frames of the data set (default: evidence)",
    )
    command.set_defaults(command=_evidence)


def _package(options: argparse.Namespace) -> None:
    from model_build.packaging.build import build_package
    from model_build.packaging.trained_run import PackageOptions

    package = PackageOptions(options.name, options.version, stretched=options.stretched, cache=options.cache)
    _print(build_package(options.run, options.data, options.package, package))


def _evaluate(options: argparse.Namespace) -> None:
    from model_build.evaluation.report import evaluate_package

    _print(evaluate_package(options.package, options.data, options.split, options.out))


def _evidence(options: argparse.Namespace) -> None:
    from model_build.evidence.collect import write_evidence

    write_evidence(options.run, options.package, options.data, options.out)


def _print(metrics: Sequence["Metric"]) -> None:
    for metric in metrics:
        sys.stdout.write(f"{metric.metric}, {metric.subset}: {metric.value:.4f} ({metric.n} frames)\n")
