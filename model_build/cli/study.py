"""The commands that train several networks: `leave-one-scanner-out`, `cross-validate`, `ablate` and `reproduce`."""

import argparse
import sys
from pathlib import Path

from model_build.cli.options import Subparsers, add_data, add_device, add_recipe, add_training, device

_OUT = "folder for the runs and the table; a second call skips finished trainings"


def register(subparsers: Subparsers) -> None:
    """Add the commands to the parser."""
    study = argparse.ArgumentParser(add_help=False)
    study.add_argument("out", type=Path, help=_OUT)
    add_data(study)
    add_recipe(study)
    add_device(study)

    command = subparsers.add_parser(
        "leave-one-scanner-out", parents=[study], help="train without the frames of a scanner, then score them"
    )
    command.add_argument("--scanner", nargs="+", default=["Voluson E6", "Aloka", "Other"], help="scanners to leave out")
    command.set_defaults(command=_leave_one_scanner_out)

    command = subparsers.add_parser(
        "cross-validate", parents=[study], help="score every frame by patient-wise cross-validation"
    )
    command.add_argument("--folds", type=int, default=5, help="number of folds (default: 5)")
    command.set_defaults(command=_cross_validate)

    command = subparsers.add_parser(
        "ablate", parents=[study], help="compare backbones, attention steps and heads with the same training"
    )
    command.add_argument("--backbones", nargs="+", default=["lite0", "lite1", "lite2"], help="backbones to compare")
    command.add_argument("--attentions", nargs="+", help="attention steps to compare (default: all)")
    command.add_argument(
        "--mlp-layers", nargs="+", type=int, default=[3], help="numbers of linear layers of the head to compare"
    )
    command.add_argument("--seeds", type=int, default=3, help="trainings per combination (default: 3)")
    command.set_defaults(command=_ablate)

    command = subparsers.add_parser(
        "reproduce", help="train, package and evaluate a recipe, and compare it with the published results"
    )
    command.add_argument("recipe", help="default, edge, lite2, paper, or path of a .toml file")
    command.add_argument("out", type=Path, help=_OUT)
    add_data(command)
    command.add_argument("--version", default="1.0.0", help="version of the models (default: 1.0.0)")
    add_training(command)
    command.set_defaults(command=_reproduce)


def _leave_one_scanner_out(options: argparse.Namespace) -> None:
    from model_build.evaluation.tables import write_table
    from model_build.experiments.leave_one_scanner_out import leave_one_scanner_out
    from model_build.recipe import load_recipe

    rows = leave_one_scanner_out(
        load_recipe(options.recipe), options.data, options.out, options.scanner, device(options)
    )
    write_table(options.out / "scanners.csv", rows)


def _cross_validate(options: argparse.Namespace) -> None:
    from model_build.evaluation.tables import write_table
    from model_build.experiments.cross_validation import cross_validate
    from model_build.recipe import load_recipe

    rows = cross_validate(load_recipe(options.recipe), options.data, options.out, options.folds, device(options))
    write_table(options.out / "planes.csv", rows)


def _ablate(options: argparse.Namespace) -> None:
    from model_build.evaluation.tables import write_table
    from model_build.experiments.ablation import Grid, ablate
    from model_build.models.attention import ATTENTIONS
    from model_build.recipe import load_recipe

    grid = Grid(options.backbones, options.attentions or list(ATTENTIONS), options.mlp_layers, options.seeds)
    rows = ablate(load_recipe(options.recipe), options.data, options.out, grid, device(options))
    write_table(options.out / "ablation.csv", rows)


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
