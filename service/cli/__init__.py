"""The command `fetal-planes`: serve over HTTP, classify and explain frames, run jobs over folders.

Building the parser imports nothing beyond the standard library, so that `--help` is instant. Each handler imports what
it needs when its command runs.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import service
from service.cli import bench, classify, jobs, serve
from service.cli.audit import command as audit
from service.cli.listen import command as listen
from service.cli.store import command as store


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code.

    It is 0 for success, 1 if a frame was refused, 2 if the command line, the settings, the model package or a folder is
    wrong.
    """
    options = build_parser().parse_args(arguments)
    from service.process_setup import configure_process, configure_signals, pause_garbage_collection

    configure_signals(serves=options.command == "serve")
    if options.command == "serve":
        pause_garbage_collection()
    configure_process()  # before anything imports ONNX Runtime or Ray
    from service.cli.run import run_command

    return run_command(options)


class _Version(argparse.Action):
    """Print the versions and exit."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        manifest = json.loads((Path(service.__file__).parent / "models" / "default" / "model.json").read_bytes())
        sys.stdout.write(f"service {service.__version__}, model {manifest['version']}\n")
        parser.exit()


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    parser = argparse.ArgumentParser(prog="fetal-planes", description="Research use only. Not a medical device.")
    parser.add_argument("--version", action=_Version, nargs=0, help="print the versions of service and shipped model")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for group in (serve, listen, classify, jobs, store, audit, bench):
        group.register(commands)
    return parser
