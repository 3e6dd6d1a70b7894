"""The commands `fetch` and `check`."""

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

from model_build.cli.options import CACHE, DATA_HELP, RECIPE, Subparsers, add_command


def register(subparsers: Subparsers) -> None:
    """Add the commands to the parser."""
    fetch = add_command(subparsers, "fetch", _fetch, "download a public data set; a second call resumes the download")
    fetch.add_argument(
        "name", choices=("planes", "africa"), help="planes: FETAL_PLANES_DB, 2.1 GB; africa: five centers, 41 MB"
    )
    fetch.add_argument("folder", type=Path, help="folder to write the files to")

    text = "read a data set, count its frames and check its split for leakage"
    check = add_command(subparsers, "check", _check, text, RECIPE, CACHE)
    check.add_argument("data", type=Path, help=DATA_HELP)


def _fetch(options: argparse.Namespace) -> None:
    from model_build.data.zenodo import fetch

    sys.stdout.write(f"{fetch(options.name, options.folder)}\n")


def _check(options: argparse.Namespace) -> None:
    from model_build.data.formats import read_data
    from model_build.data.frames import open_frames
    from model_build.data.splits import (
        check_leakage,
        describe_files,
        describe_split,
        file_warnings,
        make_split,
        split_warnings,
        warn,
    )
    from model_build.recipe import load_recipe

    data, recipe = read_data(options.data), load_recipe(options.recipe)
    load = open_frames(data.records, options.cache)
    if not data.side("train"):
        load(data.records)
        _print([f"{data.source.name}: {len(data.records)} frames, all in the test split", *describe_files(data)])
        return
    split = make_split(data, recipe)
    warn((*split_warnings(data, recipe, split), *file_warnings(data, split)))
    _print([*describe_split(data, split), *describe_files(data)])
    check_leakage(split, recipe, load, drop=False)
    _print(["no leakage: the splits share no patient and no picture"])


def _print(lines: Iterable[str]) -> None:
    sys.stdout.writelines(f"{line}\n" for line in lines)
