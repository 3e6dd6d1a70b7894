"""`fetal-planes-build`: from labeled frames to a model package."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from model_build.cli.data import add_data_commands, add_device
from model_build.data.download import DownloadError
from model_build.data.formats import read_data
from model_build.data.records import DataError, load_frames
from model_build.evaluation.predictions import headline, match_planes, run_engine, write_table
from model_build.evaluation.report import write_report
from model_build.evaluation.validation import validate
from model_build.evidence.collect import write_evidence
from model_build.experiments.studies import ablate, cross_validate, leave_one_scanner_out
from model_build.models.attention import ATTENTIONS
from model_build.models.efficientnet import WeightsError
from model_build.packaging.build import build_package
from model_build.packaging.onnx_export import ExportError
from model_build.recipe import load_recipe
from model_build.training.allocator import keep_freed_memory
from model_build.training.distributed import join_distributed
from model_build.training.run import train_run, warn
from model_build.training.weight_averaging import average_weights
from service.inference.engine import Engine
from service.inference.package import PackageError, load_package
from service.process_setup import configure_process

_DATA = "a data set in a layout that docs/training.md describes: its folder, or its CSV file"
_STRETCHED = "more brain frames, in the layout of FETAL_PLANES_DB but of one shape: they teach sub-planes alone"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status: 0, or 1 with a line on standard error that says what is wrong."""
    options = _parser().parse_args(arguments)
    configure_process()
    keep_freed_memory()
    if options.threads:
        torch.set_num_threads(options.threads)
    try:
        options.command(options)
    except (DataError, DownloadError, WeightsError, ExportError, PackageError, FileNotFoundError, ValueError) as error:
        print(f"fetal-planes-build: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


def _train(options: argparse.Namespace) -> None:
    recipe = load_recipe(options.recipe)
    if options.seed is not None:
        recipe = recipe.model_copy(update={"seed": options.seed})
    if options.grad_accum_steps is not None:
        training = recipe.training.model_copy(update={"grad_accum_steps": options.grad_accum_steps})
        recipe = recipe.model_copy(update={"training": training})
    with join_distributed(options.device) as distributed:
        train_run(
            recipe,
            options.data,
            options.run,
            distributed,
            resume=options.resume,
            stretched=options.stretched,
            weights=options.weights,
            workers=options.workers,
            cache=options.cache,
            drop_repeats=options.drop_repeats,
            tensorboard=options.tensorboard,
        )


def _soup(options: argparse.Namespace) -> None:
    average_weights(options.runs, options.out, options.data, options.stretched)


def _validate(options: argparse.Namespace) -> None:
    rows = validate(options.runs, options.data)
    write_table(options.out, rows)
    for row in rows:
        each = ", ".join(f"{row[f'top1_at_{strength}']:.4f} at {strength}" for strength in ("0", "1", "1.5"))
        print(f"{row['run']}: top-1 {each}")  # noqa: T201


def _package(options: argparse.Namespace) -> None:
    figures = build_package(
        options.run,
        options.data,
        options.package,
        name=options.name,
        version=options.version,
        stretched=options.stretched,
        cache=options.cache,
    )
    for figure in figures:
        print(f"{figure.name}: {figure.value:.4f} ({figure.frames} frames)")  # noqa: T201


def _transfer(options: argparse.Namespace) -> None:
    rows = leave_one_scanner_out(
        load_recipe(options.recipe), options.data, options.out, options.scanner, options.device
    )
    write_table(options.out / "scanners.csv", rows)


def _crossvalidate(options: argparse.Namespace) -> None:
    rows = cross_validate(load_recipe(options.recipe), options.data, options.out, options.folds, options.device)
    write_table(options.out / "planes.csv", rows)


def _ablate(options: argparse.Namespace) -> None:
    rows = ablate(
        load_recipe(options.recipe),
        options.data,
        options.out,
        backbones=options.backbones,
        attentions=options.attentions,
        depths=options.depths,
        seeds=options.seeds,
        device=options.device,
    )
    write_table(options.out / "ablation.csv", rows)


def _evidence(options: argparse.Namespace) -> None:
    write_evidence(options.run, options.package, options.data, options.out)


def _evaluate(options: argparse.Namespace) -> None:
    engine = Engine(load_package(options.package))
    data = read_data(options.data)
    warn(data.warnings)
    records = [
        record for record in match_planes(data, engine.manifest.planes) if options.split in (record.split, "all")
    ]
    if not records:
        raise DataError(f"{options.data} has no frame in its {options.split} split")
    outcome = run_engine(engine, load_frames(records), records)
    figures = headline(outcome)
    write_report(options.out, outcome, engine.manifest, figures, {})
    for figure in figures:
        print(f"{figure.name}: {figure.value:.4f} ({figure.frames} frames)")  # noqa: T201


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="fetal-planes-build", description=__doc__)
    parser.add_argument("--threads", type=int, help="threads that PyTorch computes with (default: all cores)")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    add_data_commands(commands)

    command = commands.add_parser("train", help="train a network; interrupted, it goes on with --resume")
    command.add_argument("run", type=Path, help="folder for the checkpoint, the log and the model")
    command.add_argument("--data", type=Path, required=True, help=_DATA)
    command.add_argument("--stretched", type=Path, help=_STRETCHED)
    command.add_argument("--recipe", default="default", help="a shipped recipe's name, or a path ending in .toml")
    command.add_argument("--seed", type=int, help="instead of the recipe's")
    command.add_argument("--resume", action="store_true", help="go on from the folder's last checkpoint")
    command.add_argument("--weights", type=Path, help="backbone weights, where they are not in an installed wheel")
    command.add_argument("--workers", type=int, default=0, help="processes that vary the frames (default: none)")
    command.add_argument("--cache", type=Path, help="folder to keep decoded frames in, shared by all processes")
    command.add_argument("--grad-accum-steps", type=int, help="parts to compute a batch in, instead of the recipe's")
    command.add_argument("--drop-repeats", action="store_true", help="train without frames that are held out as well")
    command.add_argument("--tensorboard", action="store_true", help="write RUN/tensorboard (pip install tensorboard)")
    add_device(command)
    command.set_defaults(command=_train)

    command = commands.add_parser("soup", help="average the weights of runs that started alike")
    command.add_argument("runs", type=Path, nargs="+", metavar="RUN")
    command.add_argument("--out", type=Path, required=True, help="folder of the averaged run")
    command.add_argument("--data", type=Path, required=True, help="what the runs were trained on")
    command.add_argument("--stretched", type=Path, help=_STRETCHED)
    command.set_defaults(command=_soup)

    command = commands.add_parser("validate", help="score runs on validation patients: what to choose by")
    command.add_argument("runs", type=Path, nargs="+", metavar="RUN")
    command.add_argument("--data", type=Path, required=True, help="what the runs were trained on")
    command.add_argument("--out", type=Path, required=True, help="the table to write, a CSV file")
    command.set_defaults(command=_validate)

    command = commands.add_parser("package", help="calibrate, export, check, evaluate: a run becomes a model package")
    command.add_argument("run", type=Path)
    command.add_argument("package", type=Path, help="the folder to write")
    command.add_argument("--data", type=Path, required=True)
    command.add_argument("--stretched", type=Path, help=_STRETCHED)
    command.add_argument("--name", default="fetal-planes")
    command.add_argument("--version", required=True, help="of the model")
    command.add_argument("--cache", type=Path, help="the folder of decoded frames that train wrote")
    command.set_defaults(command=_package)

    command = commands.add_parser("evidence", help="what a model refuses, and whether its heat maps mean something")
    command.add_argument("run", type=Path)
    command.add_argument("package", type=Path)
    command.add_argument("--data", type=Path, required=True)
    command.add_argument("--out", type=Path, required=True, help="folder for the tables")
    command.set_defaults(command=_evidence)

    experiment = argparse.ArgumentParser(add_help=False)
    experiment.add_argument("out", type=Path, help="folder for the trainings and the table; interrupted, it goes on")
    experiment.add_argument("--data", type=Path, required=True)
    experiment.add_argument("--recipe", default="default")
    add_device(experiment)

    command = commands.add_parser("transfer", parents=[experiment], help="train without a machine, score on it")
    command.add_argument("--scanner", nargs="+", default=["Voluson E6", "Aloka", "Other"])
    command.set_defaults(command=_transfer)

    command = commands.add_parser("crossvalidate", parents=[experiment], help="patient-wise, over all frames")
    command.add_argument("--folds", type=int, default=5)
    command.set_defaults(command=_crossvalidate)

    command = commands.add_parser("ablate", parents=[experiment], help="backbone x attention x depth, on equal terms")
    command.add_argument("--backbones", nargs="+", default=["lite0", "lite1", "lite2"])
    command.add_argument("--attentions", nargs="+", default=list(ATTENTIONS), choices=ATTENTIONS)
    command.add_argument("--depths", nargs="+", type=int, default=[3])
    command.add_argument("--seeds", type=int, default=3)
    command.set_defaults(command=_ablate)

    command = commands.add_parser("evaluate", help="score a model package on labeled frames")
    command.add_argument("package", type=Path)
    command.add_argument("--data", type=Path, required=True)
    command.add_argument("--split", choices=("train", "test", "all"), default="test")
    command.add_argument("--out", type=Path, required=True, help="folder for report/")
    command.set_defaults(command=_evaluate)
    return parser
