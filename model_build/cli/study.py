"""The commands that train several networks: `leave-one-scanner-out`, `cross-validate`, `ablate` and `reproduce`."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from model_build.cli.options import DATA, DEVICE, RECIPE, TRAINING, Subparsers, add_command, device

if TYPE_CHECKING:
    from model_build.evaluation.tables import Row
    from model_build.recipe import Recipe

P = TypeVar("P")  # the parameter that a study has and the others have not


def register(subparsers: Subparsers) -> None:
    """Add the commands to the parser."""
    out = argparse.ArgumentParser(add_help=False)
    out.add_argument("out", type=Path, help="folder for the runs and the table; a second call skips finished trainings")
    study = argparse.ArgumentParser(add_help=False, parents=[out, DATA, RECIPE, DEVICE])

    text = "train without the frames of a scanner, then score them"
    scanners = add_command(subparsers, "leave-one-scanner-out", _leave_one_scanner_out, text, study)
    default = ["Voluson E6", "Aloka", "Other"]
    scanners.add_argument("--scanner", nargs="+", default=default, help="scanners to leave out")

    text = "score every frame by patient-wise cross-validation"
    folds = add_command(subparsers, "cross-validate", _cross_validate, text, study)
    folds.add_argument("--folds", type=int, default=5, help="number of folds (default: 5)")

    text = "compare backbones, attention steps and heads with the same training"
    ablate = add_command(subparsers, "ablate", _ablate, text, study)
    ablate.add_argument("--backbones", nargs="+", default=["lite0", "lite1", "lite2"], help="backbones to compare")
    ablate.add_argument("--attentions", nargs="+", help="attention steps to compare (default: all)")
    text = "numbers of linear layers of the head to compare"
    ablate.add_argument("--mlp-layers", nargs="+", type=int, default=[3], help=text)
    ablate.add_argument("--seeds", type=int, default=3, help="trainings per combination (default: 3)")

    recipe = argparse.ArgumentParser(add_help=False)
    recipe.add_argument("recipe", help="default, distill, edge, lite2, paper, or path of a .toml file")
    text = "train, package and evaluate a recipe, and compare it with the published results"
    reproduce = add_command(subparsers, "reproduce", _reproduce, text, recipe, out, DATA, TRAINING)
    reproduce.add_argument("--version", default="1.0.0", help="version of the models (default: 1.0.0)")


def _leave_one_scanner_out(options: argparse.Namespace) -> None:
    from model_build.experiments.leave_one_scanner_out import leave_one_scanner_out

    _write(options, "scanners.csv", leave_one_scanner_out, options.scanner)


def _cross_validate(options: argparse.Namespace) -> None:
    from model_build.experiments.cross_validation import cross_validate

    _write(options, "planes.csv", cross_validate, options.folds)


def _ablate(options: argparse.Namespace) -> None:
    from model_build.experiments.ablation import Grid, ablate
    from model_build.models.attention import ATTENTIONS

    grid = Grid(options.backbones, options.attentions or list(ATTENTIONS), options.mlp_layers, options.seeds)
    _write(options, "ablation.csv", ablate, grid)


def _write(
    options: argparse.Namespace,
    table: str,
    study: "Callable[[Recipe, Path, Path, P, str], Sequence[Row]]",
    parameter: P,
) -> None:
    """Run a study with the parameter that is its own, and write its table."""
    from model_build.evaluation.tables import write_table
    from model_build.recipe import load_recipe

    rows = study(load_recipe(options.recipe), options.data, options.out, parameter, device(options))
    write_table(options.out / table, rows)


def _reproduce(options: argparse.Namespace) -> None:
    from model_build.experiments.reproduce import reproduce
    from model_build.recipe import load_recipe
    from model_build.training.distributed import join_distributed
    from model_build.training.trainer import RunOptions

    with join_distributed(device(options)) as distributed:
        run_options = RunOptions(distributed, workers=options.workers, weights=options.weights, cache=options.cache)
        reproduce(load_recipe(options.recipe), options.data, options.out, options.version, run_options)
        if distributed.is_main:
            sys.stdout.write((options.out / "report.md").read_text("utf-8"))
