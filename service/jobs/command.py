"""The command `fetal-planes process`."""

import argparse
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from service.analysis.pipeline import Pipeline
from service.execution.cpu_budget import cpu_budget
from service.jobs.files import Upload, walk
from service.jobs.journal import ResultLog, ResultLogError, ResultRow, write_json, write_whole
from service.jobs.progress import Progress
from service.jobs.runner import JobLog, run_job
from service.jobs.summary import Counts, result_json, write_table
from service.jobs.worker import Wanted, Worker
from service.reports.dicom import DicomObject
from service.settings import Settings

ROWS, TABLE, RESULT, OBJECTS = "frames.jsonl", "frames.csv", "result.json", "dicom"

_MERCURE_OWN = {"task.json", RESULT}  # mercure leaves a study's tags beside it, in files that are no frames


class UsageError(Exception):
    """The command cannot be carried out as it was given."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `process`."""
    parser.add_argument(
        "folders", nargs="*", type=Path, metavar="IN OUT",
        help="folder of frames, and folder of results (default: MERCURE_IN_DIR and MERCURE_OUT_DIR)",
    )  # fmt: skip
    parser.add_argument("--reports", action="store_true", help="write a structured report for each DICOM frame")
    parser.add_argument("--overlays", action="store_true", help="write a Secondary Capture for each DICOM frame")
    parser.add_argument("--dicomweb", metavar="URL", help="work on a study of this archive, and store results there")
    parser.add_argument("--study", metavar="UID", help="the study's Study Instance UID")
    parser.add_argument(
        "--token", metavar="VARIABLE", help="environment variable that holds the archive's bearer token"
    )


def process(options: argparse.Namespace, settings: Settings, pipeline: Pipeline) -> int:
    """Carry the command out. The exit code: 0 every frame has its answer, 1 some were refused.

    Raises
    ------
    UsageError
        The arguments or folders are wrong, or the archive cannot be reached.
    """
    threads = cpu_budget(settings.workers).count
    if options.dicomweb or options.study:
        return _process_archive(options, pipeline, threads)
    return _process_folder(options, pipeline, threads)


def _process_folder(options: argparse.Namespace, pipeline: Pipeline, threads: int) -> int:
    mercure = not options.folders
    source, target = _folders(options.folders, os.environ)
    # What is written straight into mercure's folder is what it sends on.
    objects = target if mercure else target / OBJECTS
    wanted = _mercure_wants(source) if mercure else Wanted(options.reports, options.overlays)

    def keep(result: DicomObject) -> str:
        objects.mkdir(parents=True, exist_ok=True)
        write_whole(objects / f"{result.uid}.dcm", result.contents)
        return f"{result.uid}.dcm"

    def skip(path: Path) -> bool:
        return target in path.parents or (mercure and (path.suffix == ".tags" or path.name in _MERCURE_OWN))

    uploads = list(walk(source, skip))
    try:
        target.mkdir(parents=True, exist_ok=True)
        with ResultLog(target / ROWS, pipeline.engine.package.sha256) as journal:
            _run(uploads, Worker(pipeline, wanted, keep), journal, threads)
            counts = _count(journal)
            write_table(journal.rows(), target / TABLE)
        write_json(target / RESULT, result_json(counts, pipeline.engine.package))
    except ResultLogError as error:
        raise UsageError(str(error)) from error
    except OSError as error:
        raise UsageError(f"{target} cannot be written: {error.strerror}") from error
    sys.stderr.write(counts.text() + "\n")
    return int(counts.refused > 0)


def _folders(given: list[Path], environment: Mapping[str, str]) -> tuple[Path, Path]:
    names = [environment.get("MERCURE_IN_DIR"), environment.get("MERCURE_OUT_DIR")]
    folders = given or [Path(name) for name in names if name]
    if len(folders) != 2:
        raise UsageError("process takes two folders: of frames, and of results")
    source, target = (folder.resolve() for folder in folders)
    if not source.is_dir():
        raise UsageError(f"{folders[0]} is not a folder")
    return source, target


def _mercure_wants(folder: Path) -> Wanted:
    """What `task.json` asks of this module in its settings; both, where it says nothing."""
    try:
        task = json.loads((folder / "task.json").read_bytes())
        settings = task["process"]["settings"]
        return Wanted(bool(settings.get("reports", True)), bool(settings.get("overlays", True)))
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return Wanted(reports=True, overlays=True)


def _process_archive(options: argparse.Namespace, pipeline: Pipeline, threads: int) -> int:
    if not (options.dicomweb and options.study) or options.folders:
        raise UsageError("--dicomweb and --study go together, and without folders")
    from service.jobs.dicomweb import ArchiveError, DicomWebArchive

    archive = DicomWebArchive(options.dicomweb, os.environ.get(options.token) if options.token else None)
    asked = Wanted(options.reports, options.overlays)
    try:
        uploads = archive.uploads(options.study)
        rows = Lines()
        worker = Worker(pipeline, asked if any(asked) else Wanted(reports=True, overlays=True), archive.store)
        _run(uploads, worker, rows, threads)
    except ArchiveError as error:
        raise UsageError(str(error)) from error
    sys.stderr.write(rows.counts.text() + "\n")
    return int(rows.counts.refused > 0)


class Lines:
    """Prints each row and keeps none: an archive's results are in the archive."""

    def __init__(self) -> None:
        self.counts = Counts()

    def frames_of(self, file: str) -> int | None:
        """Nothing is known."""
        return None

    def has(self, file: str, frame: int) -> bool:
        """Nothing has been done."""
        return False

    def write(self, row: ResultRow) -> None:
        """Print a row."""
        self.counts.add(row)
        sys.stdout.write(row.model_dump_json() + "\n")
        sys.stdout.flush()


def _run(uploads: list[Upload], worker: Worker, log: JobLog[ResultRow], threads: int) -> None:
    with Progress(len(uploads)) as progress:
        for row in run_job(uploads, worker, log, threads):
            progress.add(row.file)


def _count(journal: ResultLog) -> Counts:
    counts = Counts()
    for row in journal.rows():
        counts.add(row)
    return counts
