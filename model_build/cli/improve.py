"""The command `improve`."""

import argparse
import sys
from pathlib import Path

from model_build.cli.options import DATA, PACKAGING, TRAINING, Subparsers, add_command, device, package_options


def register(subparsers: Subparsers) -> None:
    """Add the command to the parser."""
    text = "train a model on with corrected frames, compare it with the model before, and package it"
    command = add_command(subparsers, "improve", _improve, text, DATA, PACKAGING, TRAINING)
    command.add_argument("package", type=Path, help="folder of the model package to start from")
    command.add_argument("out", type=Path, help="empty folder for the runs, the comparison and the new package")
    text = "folder of corrected frames with labels.csv, as the page exports it"
    command.add_argument("--corrections", type=Path, required=True, metavar="FOLDER", help=text)
    command.add_argument(
        "--recipe", default="improve", help="shipped recipe, or path of a .toml file; default: improve"
    )
    text = "leave out corrected frames that show the picture of a test, validation or held-out frame"
    command.add_argument("--drop-near-duplicates", action="store_true", help=text)
    text = "package the model even if it is worse than before on the test frames of the data set"
    command.add_argument("--force", action="store_true", help=text)


def _improve(options: argparse.Namespace) -> None:
    from model_build.improvement.comparison import describe
    from model_build.improvement.improve import Sources, improve
    from model_build.recipe import load_recipe
    from model_build.training.distributed import join_distributed
    from model_build.training.trainer import RunOptions

    sources = Sources(options.package, options.data, options.corrections, options.drop_near_duplicates)
    with join_distributed(device(options)) as distributed:
        run_options = RunOptions(distributed, workers=options.workers)
        rows = improve(sources, load_recipe(options.recipe), options.out, run_options, package_options(options))
    sys.stdout.writelines(f"{line}\n" for line in describe(rows))
