"""The commands of `fetal-planes-build` about data and whole reproductions: fetch, check, speed, reproduce."""

import argparse
import sys
from pathlib import Path

import torch

from bench.loader import measure_loader
from model_build.data.formats import read_data
from model_build.data.frames import open_frames
from model_build.data.splits import check_leakage, describe_split, make_split, split_warnings
from model_build.data.zenodo import PUBLIC_DATA_SETS, fetch
from model_build.experiments.reproduce import reproduce
from model_build.recipe import load_recipe
from model_build.training.distributed import join_distributed
from model_build.training.run import warn
from model_build.training.trainer import RunOptions


def add_data_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the commands to the parser."""
    command = commands.add_parser("fetch", help="download a public data set; interrupted, it goes on")
    command.add_argument(
        "name", choices=PUBLIC_DATA_SETS, help="planes: FETAL_PLANES_DB, 2.1 GB; africa: five centers, 41 MB"
    )
    command.add_argument("folder", type=Path, help="where its files go")
    command.set_defaults(command=_fetch)

    command = commands.add_parser("check", help="read a data set, tell what is in it, look for leaks in its split")
    command.add_argument("data", type=Path)
    command.add_argument("--recipe", default="default", help="whose split to look at")
    command.add_argument("--cache", type=Path)
    command.set_defaults(command=_check)

    command = commands.add_parser("speed", help="whether the loader keeps up with the device")
    command.add_argument("--data", type=Path, required=True)
    command.add_argument("--recipe", default="default")
    command.add_argument("--workers", type=int, default=0)
    command.add_argument("--cache", type=Path)
    command.add_argument("--steps", type=int, default=20)
    command.add_argument("--turns", type=int, default=5)
    add_device(command)
    command.set_defaults(command=_speed)

    command = commands.add_parser("reproduce", help="a recipe from data to report: train, package, evaluate, compare")
    command.add_argument("recipe", help="paper, default, edge, lite2, or a path ending in .toml")
    command.add_argument("out", type=Path, help="folder for runs, packages and report; interrupted, it goes on")
    command.add_argument("--data", type=Path, required=True)
    command.add_argument("--version", default="1.0.0", help="of the models")
    command.add_argument("--weights", type=Path)
    command.add_argument("--workers", type=int, default=0)
    command.add_argument("--cache", type=Path)
    add_device(command)
    command.set_defaults(command=_reproduce)


def add_device(command: argparse.ArgumentParser) -> None:
    """Add the option that says where to compute."""
    default = "cuda" if torch.cuda.is_available() else "cpu"
    command.add_argument("--device", default=default, help=f"cpu, cuda, cuda:1, ... (here: {default})")


def _fetch(options: argparse.Namespace) -> None:
    folder = fetch(options.name, options.folder)
    sys.stdout.write(f"{folder}\n")


def _check(options: argparse.Namespace) -> None:
    data, recipe = read_data(options.data), load_recipe(options.recipe)
    if not data.side("train"):  # a set to test with
        sys.stdout.write(f"{data.source.name}: {len(data.records)} frames, all for testing\n")
        return
    split = make_split(data, recipe)
    warn(split_warnings(data, recipe, split))
    sys.stdout.writelines(f"{line}\n" for line in describe_split(data, split))
    check_leakage(split, recipe, open_frames(data.records, options.cache), drop=False)
    sys.stdout.write("no patient and no picture stands on both sides of the split\n")


def _speed(options: argparse.Namespace) -> None:
    rates = measure_loader(
        load_recipe(options.recipe),
        options.data,
        device=options.device,
        workers=options.workers,
        cache=options.cache,
        steps=options.steps,
        turns=options.turns,
    )
    ratio = rates.pop("ratio")
    sys.stdout.writelines(f"{name}: {rate:.1f} frames/s\n" for name, rate in rates.items())
    sys.stdout.write(f"training / cached tensors: {ratio:.3f}\n")


def _reproduce(options: argparse.Namespace) -> None:
    with join_distributed(options.device) as distributed:
        reproduce(
            load_recipe(options.recipe),
            options.data,
            options.out,
            options.version,
            RunOptions(distributed, workers=options.workers, weights=options.weights, cache=options.cache),
        )
        if distributed.is_main:
            sys.stdout.write((options.out / "report.md").read_text("utf-8"))
