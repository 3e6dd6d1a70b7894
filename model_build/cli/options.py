"""Options that several commands share."""

import argparse
from pathlib import Path
from typing import TypeAlias

Subparsers: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # argparse has no public name for it


def add_data(command: argparse.ArgumentParser) -> None:
    """Add `--data`."""
    command.add_argument(
        "--data", type=Path, required=True, help="the data set: a folder, or a CSV file that lists the frames"
    )


def add_stretched(command: argparse.ArgumentParser) -> None:
    """Add `--stretched`."""
    command.add_argument(
        "--stretched",
        type=Path,
        help="folder of further brain frames in the FETAL_PLANES_DB layout, all resized to one shape; "
        "they train the sub-plane head only",
    )


def add_recipe(command: argparse.ArgumentParser) -> None:
    """Add `--recipe`."""
    command.add_argument("--recipe", default="default", help="name of a shipped recipe, or path of a .toml file")


def add_cache(command: argparse.ArgumentParser) -> None:
    """Add `--cache`."""
    command.add_argument("--cache", type=Path, help="folder that keeps decoded frames for later runs")


def add_training(command: argparse.ArgumentParser) -> None:
    """Add `--device`, `--workers`, `--weights` and `--cache`."""
    add_device(command)
    command.add_argument(
        "--workers", type=int, default=0, help="number of data-loading processes (default: load in the main process)"
    )
    command.add_argument(
        "--weights", type=Path, help="file of ImageNet weights for the backbone (default: the installed package)"
    )
    add_cache(command)


def add_device(command: argparse.ArgumentParser) -> None:
    """Add `--device`."""
    command.add_argument("--device", help="cpu, cuda, cuda:1, ... (default: cuda if it is available, else cpu)")


def device(options: argparse.Namespace) -> str:
    """Return the device to compute on."""
    import torch

    found: str = options.device or ("cuda" if torch.cuda.is_available() else "cpu")
    return found
