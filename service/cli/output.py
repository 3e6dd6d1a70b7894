"""Files that commands read, and lines and files that they write."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from service.cli.arguments import CommandError
from service.errors import NotFound
from service.schemas.batch import BatchEnd, FrameAnswer, FrameProblem
from service.schemas.exam import ExamReport


def read_file(path: Path) -> bytes:
    """Return the bytes of an input; raises `NotFound`."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise NotFound(f"The file cannot be read: {error.strerror}.") from error


def write_file(path: Path, contents: bytes) -> None:
    """Write an output; raises `CommandError`."""
    try:
        path.write_bytes(contents)
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror}") from error


def print_line(line: str) -> None:
    """Print a line at once, so that a reader of the pipe need not wait for the others."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def print_cine(options: argparse.Namespace, line: FrameAnswer | FrameProblem | BatchEnd) -> int:
    """Print what `cine` shows of a line of a batch; return 1 for a refused frame, else 0."""
    if isinstance(line, BatchEnd):
        for each in line.summary.cines:
            print_line(each.model_dump_json())
        return 0
    if options.frames or isinstance(line, FrameProblem) or line.frame.count == 1:
        print_line(line.model_dump_json())
    return int(isinstance(line, FrameProblem))


def exam_files(folder: Path) -> Sequence[Path]:
    """Return every file below a folder except those with a hidden name; raises `CommandError` if there is none."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    if not paths:
        raise CommandError(f"{folder} has no files")
    return paths


def print_exam(options: argparse.Namespace, report: ExamReport, page: str | None) -> int:
    """Write the page and print the exam report; return 1 if frames were refused, else 0."""
    if page is not None:
        write_file(options.output, page.encode())
    print_line(report.model_dump_json())
    return int(bool(report.refused))
