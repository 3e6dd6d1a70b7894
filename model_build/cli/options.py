"""Options that several commands share, as parent parsers, and a function that adds a command."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from model_build.packaging.trained_run import PackageOptions

Parser: TypeAlias = argparse.ArgumentParser
Subparsers: TypeAlias = "argparse._SubParsersAction[Parser]"  # argparse has no public name for it
Handler: TypeAlias = Callable[[argparse.Namespace], None]

DATA_HELP = "the data set: a folder, or a CSV file that lists the frames"
DATA, STRETCHED, RECIPE, CACHE, DEVICE = (Parser(add_help=False) for _ in range(5))
DATA.add_argument("--data", type=Path, required=True, help=DATA_HELP)
STRETCHED.add_argument(
    "--stretched",
    type=Path,
    help="folder of further brain frames in the FETAL_PLANES_DB layout, all resized to one shape; "
    "they train the sub-plane head only",
)
RECIPE.add_argument("--recipe", default="default", help="name of a shipped recipe, or path of a .toml file")
CACHE.add_argument("--cache", type=Path, help="folder that keeps decoded frames for later runs")
DEVICE.add_argument("--device", help="cpu, cuda, cuda:1, ... (default: cuda if it is available, else cpu)")

TRAINING = Parser(add_help=False, parents=[DEVICE, CACHE])
TRAINING.add_argument(
    "--workers", type=int, default=0, help="number of data-loading processes (default: load in the main process)"
)
TRAINING.add_argument(
    "--weights", type=Path, help="file of ImageNet weights for the backbone (default: the installed package)"
)

ORGANS = Parser(add_help=False)
ORGANS.add_argument(
    "--other-organs",
    type=Path,
    help="folder of frames of other organs, with manifest.csv, that the model should abstain on",
)

PACKAGING = Parser(add_help=False, parents=[STRETCHED, ORGANS])
PACKAGING.add_argument("--name", required=True, help="name of the model, such as the hospital's or the study's")
PACKAGING.add_argument("--version", required=True, help="version of the model")
PACKAGING.add_argument("--license", help="license of the weights, such as Apache-2.0; the model card states it")
PACKAGING.add_argument("--float32-only", action="store_true", help="leave out INT8")


def add_command(commands: Subparsers, name: str, run: Handler, text: str, *shared: Parser) -> Parser:
    """Add a command with shared options; `text` is its line in the help."""
    parser = commands.add_parser(name, parents=shared, help=text)
    parser.set_defaults(command=run)
    return parser


def device(options: argparse.Namespace) -> str:
    """Return the device to compute on."""
    import torch

    return options.device or ("cuda" if torch.cuda.is_available() else "cpu")


def package_options(options: argparse.Namespace) -> "PackageOptions":
    """Return how to build a package, of a command with PACKAGING, CACHE, `--corrections` and `--force`."""
    from model_build.packaging.trained_run import PackageOptions

    return PackageOptions(
        options.name,
        options.version,
        stretched=options.stretched,
        organs=options.other_organs,
        corrections=options.corrections,
        cache=options.cache,
        license=options.license,
        float32_only=options.float32_only,
        force=options.force,
    )
