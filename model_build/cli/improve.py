"""The command `improve`."""

import argparse
import sys
from pathlib import Path

from model_build.cli.options import DATA, STRETCHED, TRAINING, Subparsers, add_command, device


def register(subparsers: Subparsers) -> None:
    """Add the command to the parser."""
    text = "train a model on with corrected frames, compare it with the model before, and package it"
    command = add_command(subparsers, "improve", _improve, text, DATA, STRETCHED, TRAINING)
    command.add_argument("package", type=Path, help="folder of the model package to start from")
    command.add_argument("out", type=Path, help="empty folder for the runs, the comparison and the new package")
    text = "folder of corrected frames with labels.csv, as the page exports it"
    command.add_argument("--corrections", type=Path, required=True, metavar="FOLDER", help=text)
    command.add_argument("--name", required=True, help="name of the new model, such as the hospital's")
    command.add_argument("--version", required=True, help="version of the new model")
    command.add_argument("--license", help="license of the weights; the model card states it")
    command.add_argument(
        "--recipe", default="improve", help="shipped recipe, or path of a .toml file; default: improve"
    )
    command.add_argument("--other-organs", type=Path, help="folder of frames of other organs, as for `package`")
    text = "leave out corrected frames that show the picture of a test, validation or held-out frame"
    command.add_argument("--drop-near-duplicates", action="store_true", help=text)
    text = "package the model even if it is worse than before on the test frames of the data set"
    command.add_argument("--force", action="store_true", help=text)


def _improve(options: argparse.Namespace) -> None:
    from model_build.improvement.comparison import describe
    from model_build.improvement.improve import Sources, improve
    from model_build.packaging.trained_run import PackageOptions
    from model_build.recipe import load_recipe
    from model_build.training.distributed import join_distributed
    from model_build.training.trainer import RunOptions

    package = PackageOptions(
        options.name,
        options.version,
        stretched=options.stretched,
        organs=options.other_organs,
        cache=options.cache,
        license=options.license,
        force=options.force,
    )
    sources = Sources(options.package, options.data, options.corrections, options.drop_near_duplicates)
    with join_distributed(device(options)) as distributed:
        run_options = RunOptions(distributed, workers=options.workers, start=options.out / "start")
        rows = improve(sources, load_recipe(options.recipe), options.out, run_options, package)
    sys.stdout.writelines(f"{line}\n" for line in describe(rows))
