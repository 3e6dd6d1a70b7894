"""Commands that add to a finished model: a head for sub-planes, and smaller forms for small machines."""

import argparse
from pathlib import Path

from model_build.edge import write_edge
from model_build.subplanes.command import train_sub_planes


def add_form_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `subplanes` and `edge`."""
    command = commands.add_parser("subplanes", help="train a head for the brain's sub-planes; `package` takes it in")
    command.add_argument("run", type=Path, help="a finished run; its folder gets subplanes/")
    command.add_argument("--data", type=Path, required=True, help="folder in the layout of FETAL_PLANES_DB")
    command.add_argument("--extra", type=Path, help="more brain frames in that layout, stretched to one shape")
    command.add_argument("--features", type=Path, help="where the backbone's maps are kept (default: with the run)")
    command.set_defaults(command=_subplanes)

    command = commands.add_parser("edge", help="INT8 and float16: size, speed, accuracy; packages of those that win")
    command.add_argument("run", type=Path, help="the run that the package was made of")
    command.add_argument("package", type=Path)
    command.add_argument("--data", type=Path, required=True)
    command.add_argument("--out", type=Path, required=True, help="folder for edge.csv, edge.md and the packages")
    command.set_defaults(command=_edge)


def _subplanes(options: argparse.Namespace) -> None:
    head = train_sub_planes(options.run, options.data, options.extra, features=options.features)
    for name, figures in (("held-out patients", head.cross_validated), ("test patients", head.test)):
        frames, f1, accuracy = figures["frames"], figures["macro_f1"], figures["accuracy"]
        print(f"{name}: macro-F1 {f1:.4f}, accuracy {accuracy:.4f} ({frames} frames)")  # noqa: T201


def _edge(options: argparse.Namespace) -> None:
    for row in write_edge(options.run, options.package, options.data, options.out):
        kept = f"{row['time_ratio']:.2f} of the time, test top-1 {row['test_top1']:.4f}, kept: {row['kept']}"
        print(f"{row['form']}: {row['megabytes']:.1f} MB, {kept}")  # noqa: T201
