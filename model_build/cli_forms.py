"""The command that makes smaller forms of a finished model, for small machines."""

import argparse
from pathlib import Path

from model_build.edge import write_edge


def add_form_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `edge`."""
    command = commands.add_parser("edge", help="INT8 and float16: size, speed, accuracy; packages of those that win")
    command.add_argument("run", type=Path, help="the run that the package was made of")
    command.add_argument("package", type=Path)
    command.add_argument("--data", type=Path, required=True)
    command.add_argument("--out", type=Path, required=True, help="folder for edge.csv, edge.md and the packages")
    command.set_defaults(command=_edge)


def _edge(options: argparse.Namespace) -> None:
    for row in write_edge(options.run, options.package, options.data, options.out):
        kept = f"{row['time_ratio']:.2f} of the time, test top-1 {row['test_top1']:.4f}, kept: {row['kept']}"
        print(f"{row['form']}: {row['megabytes']:.1f} MB, {kept}")  # noqa: T201
