"""`fetal-planes-build`: train, evaluate and package a model.

This package imports no PyTorch, OpenCV or NumPy until a command runs, so `--help` answers at once.
"""

import argparse
import io
import sys
from collections.abc import Sequence

from model_build.cli import data, improve, package, study, train


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return 0, or 1 after an error that standard error names."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # any label can be printed
    options = build_parser().parse_args(arguments)
    import torch

    from model_build.data.download import DownloadError
    from model_build.data.records import DataError
    from model_build.models.pretrained import WeightsError
    from model_build.packaging.parity import ExportError
    from model_build.training.allocator import keep_freed_memory
    from service.inference.package import PackageError
    from service.process_setup import configure_process
    from service.schemas.file_names import path_text

    configure_process()
    keep_freed_memory()
    if options.threads:
        torch.set_num_threads(options.threads)
    try:
        options.command(options)
    except (DataError, DownloadError, WeightsError, ExportError, PackageError, ValueError) as error:
        sys.stderr.write(f"fetal-planes-build: {error}\n")
        return 1
    except OSError as error:  # a missing file, a folder without permission, a full disk
        reason = f"{path_text(error.filename)}: {error.strerror}" if error.filename else error
        sys.stderr.write(f"fetal-planes-build: {reason}\n")
        return 1
    return 0


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands. Each parsed namespace holds its handler as `command`."""
    parser = argparse.ArgumentParser(prog="fetal-planes-build", description="Train, evaluate and package a model.")
    parser.add_argument("--threads", type=int, help="number of PyTorch threads (default: all cores)")
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")
    for group in (data, train, package, improve, study):
        group.register(subparsers)
    return parser
