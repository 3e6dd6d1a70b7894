"""The job `process`: a folder into JSON lines, CSV and DICOM objects, or a DICOMweb study into DICOM objects."""

import csv
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from service import __version__
from service.analysis.pipeline import Pipeline
from service.jobs import JobError
from service.jobs.files import SourceFile, source_files
from service.jobs.journal import JobKey, ResultLog, delete_drafts, write_whole
from service.jobs.rows import DISCLAIMER, Counts, ResultRow
from service.jobs.runner import JobProgress, run_job
from service.jobs.worker import DicomOutput, FrameWorker
from service.reports.dicom import DicomObject

TABLE, RESULT, OBJECTS = "frames.csv", "result.json", "dicom"

_MERCURE_FILES = {"task.json", RESULT}  # mercure also puts a file of tags, `*.tags`, next to each DICOM file

_COLUMNS = (
    "file", "frame", "plane", "probability", "second_plane", "second_probability", "sub_plane", "sub_plane_probability",
    "abstain_reason", "problem", "detail",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class FolderJob:
    """What to process, and where the results go.

    If mercure started the job, its own files are not frames, and DICOM objects go directly into the target, from
    which mercure sends them on.
    """

    source: Path
    target: Path  # both are absolute; the target may lie in the source
    reports: bool = False
    overlays: bool = False
    mercure: bool = False

    def skips(self, path: Path) -> bool:
        """Return whether a file below the source is not an input."""
        of_mercure = self.mercure and (path.suffix == ".tags" or path.name in _MERCURE_FILES)
        return of_mercure or self.target in path.parents

    def store(self, result: DicomObject) -> str:
        """Write a DICOM object and return its file name."""
        folder = self.target if self.mercure else self.target / OBJECTS
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / f"{result.uid}.dcm", result.contents)
        return f"{result.uid}.dcm"


def mercure_job(environment: Mapping[str, str]) -> FolderJob | None:
    """Return the job that mercure describes in the environment and in `task.json`; None if mercure started none."""
    names = environment.get("MERCURE_IN_DIR"), environment.get("MERCURE_OUT_DIR")
    if not all(names):
        return None
    source, target = (Path(name or "").resolve() for name in names)
    try:
        settings = json.loads((source / "task.json").read_bytes())["process"]["settings"]
        reports, overlays = (bool(settings.get(name, True)) for name in ("reports", "overlays"))
    except (OSError, ValueError, LookupError, TypeError, AttributeError):  # no task, or one without settings
        reports = overlays = True
    return FolderJob(source, target, reports, overlays, mercure=True)


def process_folder(job: FolderJob, pipeline: Pipeline, threads: int) -> Counts:
    """Process every frame below a folder, or continue an interrupted job; return the counts of all runs.

    Raises `JobError` if a folder cannot be used, or the target holds results of another model or code.
    """
    if not job.source.is_dir():
        raise JobError(f"{job.source} is not a folder")
    files = list(source_files(job.source, job.skips))
    package = pipeline.engine.package
    try:
        job.target.mkdir(parents=True, exist_ok=True)
        delete_drafts(job.target)
        with closing(ResultLog(job.target, JobKey.of(package))) as log:
            wanted = job.reports or job.overlays
            output = DicomOutput(job.reports, job.overlays, job.store) if wanted else None
            for row in _run(files, FrameWorker(pipeline, dicom=output), threads, log):
                log.write(row)
            _write_csv(log.rows(), job.target / TABLE)
        manifest = package.manifest
        result = log.counts.model_dump() | {
            "model": {"name": manifest.name, "version": manifest.version, "sha256": package.sha256},
            "version": __version__,
            "disclaimer": DISCLAIMER,
            "__mercure_notification": {"text": log.counts.text(), "requested": False},
        }
        write_whole(job.target / RESULT, json.dumps(result, indent=2).encode() + b"\n")
    except OSError as error:
        raise JobError(f"{job.target} cannot be written: {error.strerror}") from error
    return log.counts


def _write_csv(rows: Iterable[ResultRow], path: Path) -> None:
    """Write one line per row, in the order of files and frames."""
    with path.open("w", newline="") as file:
        table = csv.DictWriter(file, _COLUMNS, extrasaction="ignore")
        table.writeheader()
        table.writerows(_cells(row) for row in sorted(rows, key=lambda row: (row.file, row.frame)))


def _cells(row: ResultRow) -> dict[str, str | int | float | None]:
    cells = row.cells()
    if row.file.startswith(("=", "+", "-", "@")):  # no spreadsheet may evaluate a file name as a formula
        cells["file"] = f"'{row.file}"
    if row.answer is not None:
        first, second = row.answer.predictions
        cells |= {"probability": first.probability}
        cells |= {"second_plane": second.plane, "second_probability": second.probability}
    return cells


def process_study(files: list[SourceFile], output: DicomOutput, pipeline: Pipeline, threads: int) -> Counts:
    """Process the files of a study, store the results next to them, print each row, and return the counts."""
    counts = Counts()
    for row in _run(files, FrameWorker(pipeline, dicom=output), threads):
        counts.add(row)
        sys.stdout.write(row.model_dump_json() + "\n")
        sys.stdout.flush()
    return counts


def _run(
    files: list[SourceFile], worker: FrameWorker, threads: int, log: ResultLog | None = None
) -> Iterator[ResultRow]:
    seen: set[str] = set()
    with closing(JobProgress(len(files), "file")) as progress:
        for row in run_job(files, worker, threads, log):
            yield row
            progress.add(int(row.file not in seen), 1)
            seen.add(row.file)
