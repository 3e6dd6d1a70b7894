"""Files that commands read, and lines and files that they write."""

import argparse
import errno
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pydantic_core import to_json

from service.cli.arguments import CommandError
from service.errors import NotFound
from service.jobs.outputs import write_whole
from service.jobs.rows import SkippedFile
from service.reports.text import answer_line, cine_lines, exam_lines, refused_line
from service.schemas.answers import Classification
from service.schemas.batch import BatchEnd, FrameAnswer, FrameProblem
from service.schemas.exam import ExamReport
from service.schemas.file_names import path_text, printable
from service.schemas.problems import ProblemDetails

if TYPE_CHECKING:
    from service.imaging.files.archive import Member
    from service.imaging.files.local_file import LazyFile, LocalFile

_GIVEN_PIPES = ("/dev/stdin", "/dev/fd/", "/proc/self/fd/")  # what a shell hands over on purpose


class ExamFile(NamedTuple):
    """A file of an exam: its path below the folder as text, and where it is, also in an archive."""

    name: str
    source: "LocalFile | Member"

    def read(self, max_bytes: int) -> "LocalFile | LazyFile":
        """Return the file; the bytes of one in an archive are inflated where they are needed."""
        from service.imaging.files.local_file import LocalFile

        return self.source if isinstance(self.source, LocalFile) else self.source.lazy(max_bytes)


def read_file(path: Path) -> bytes:
    """Return the bytes of an input; raises `NotFound`."""
    try:
        if str(path).startswith(_GIVEN_PIPES):
            return path.read_bytes()
        from service.imaging.files.local_file import open_regular  # loads the reader of DICOM

        with open_regular(path) as file:
            return file.read()
    except OSError as error:
        raise NotFound(f"The file cannot be read: {error.strerror}.") from error


def write_file(path: Path, contents: bytes) -> None:
    """Write an output, whole or not at all; raises `CommandError`."""
    try:
        try:
            write_whole(path, contents)
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EPERM, errno.EBUSY, errno.EROFS) or not path.exists():
                raise
            path.write_bytes(contents)  # a file that may be written in a folder that may not
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror}") from error


def print_line(line: str) -> None:
    """Print a line at once, so that a reader of the pipe need not wait for the others; raises `CommandError`."""
    try:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
    except OSError as error:
        raise CommandError(f"standard output cannot be written: {error.strerror}") from error


def print_answer(options: argparse.Namespace, path: Path, answer: Classification | ProblemDetails) -> int:
    """Print the answer of a file; return 1 for a refused frame, else 0."""
    file = path_text(str(path))
    if writes_text(options):
        width = max(len(printable(path_text(str(each)))) for each in options.frames)
        print_line(answer_line(file.ljust(width), answer))
    else:
        print_line(f'{{"file":{to_json(file).decode()},{answer.model_dump_json().removeprefix("{")}')
    return int(isinstance(answer, ProblemDetails))


def writes_text(options: argparse.Namespace) -> bool:
    """Return whether a person reads the output: on a terminal, without `--json`."""
    return not options.json and sys.stdout.isatty()


def report_skipped(skipped: Sequence[SkippedFile]) -> None:
    """List the files that were skipped on standard error."""
    for each in skipped:
        sys.stderr.write(f"skipped {each.file}: {each.reason}\n")


def print_cine(options: argparse.Namespace, line: FrameAnswer | FrameProblem | BatchEnd) -> int:
    """Print what `cine` shows of a line of a batch; return 1 for a refused frame, else 0."""
    text = writes_text(options)
    if isinstance(line, BatchEnd):
        for each in line.summary.cines:
            for output in cine_lines(each) if text else [each.model_dump_json()]:
                print_line(output)
        return 0
    if options.frames or isinstance(line, FrameProblem) or line.frame.count == 1:
        print_line(_frame_text(line) if text else line.model_dump_json())
    return int(isinstance(line, FrameProblem))


def _frame_text(line: FrameAnswer | FrameProblem) -> str:
    if isinstance(line, FrameProblem):
        return refused_line(line)
    return answer_line(f"{line.source.name}, frame {line.frame.index + 1}", line)


def exam_files(folder: Path) -> list[ExamFile]:
    """Return the files below a folder that may hold frames, and list the others; raises `CommandError` without any."""
    from service.jobs.companions import source_companion_kind  # loads the reader of DICOM
    from service.jobs.listing import find_source, walk_folder

    files, skipped = [], []
    try:
        for entry in walk_folder(folder):
            source = find_source(folder, entry.file)
            if (reason := entry.skipped or source_companion_kind(entry.file, source)) is None:
                files.append(ExamFile(entry.file, source))
            else:
                skipped.append(SkippedFile(file=entry.file, reason=reason))
    except OSError as error:
        raise CommandError(f"{folder} cannot be listed: {error.strerror}") from error
    report_skipped(skipped)
    if not files:
        raise CommandError(f"{folder} has no files that may hold a frame (files skipped: {len(skipped)})")
    return files


def chosen_frames(options: argparse.Namespace, files: Sequence[ExamFile]) -> list[tuple[int, int]]:
    """Return the indices of file and frame of each `--chosen`; raises `CommandError` for a file that is not there."""
    numbers = {each.name: number for number, each in enumerate(files)}
    unknown = [file for file, _ in options.chosen if file not in numbers]
    if unknown:
        raise CommandError(f"--chosen: {options.folder} has no file {unknown[0]} that may hold a frame")
    return [(numbers[file], frame) for file, frame in options.chosen]


def print_exam(options: argparse.Namespace, report: ExamReport, page: str | None) -> int:
    """Write the page and print the exam report; return 1 if frames were refused, else 0."""
    if page is not None:
        write_file(options.output, page.encode())
    for line in exam_lines(report) if writes_text(options) else [report.model_dump_json()]:
        print_line(line)
    return int(bool(report.refused))
