"""The job `process`: a folder into JSON lines, CSV and DICOM objects, or a DICOMweb study into DICOM objects."""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple

from service import __version__
from service.analysis.pipeline import Pipeline
from service.analysis.results import ModelIdentity
from service.disk import read_or_make_key
from service.inference.package import ModelPackage
from service.jobs import JobError, StoreError
from service.jobs.crops.writer import CropWriter
from service.jobs.files import SourceFile
from service.jobs.journal import FolderKey, JobKey, ResultLog
from service.jobs.listing import walk_folder
from service.jobs.outputs import delete_drafts, one_run, write_whole
from service.jobs.rows import DISCLAIMER, Counts, ResultRow, SkippedFile, check_rows
from service.jobs.runner import Finished, FrameChoice, JobProgress, run_job
from service.jobs.tables.frames_csv import row_place, write_csv
from service.jobs.worker import DicomOutput, FrameWorker
from service.reports.audit_columns import AuditKey
from service.reports.dicom import DicomObject
from service.schemas.file_names import local_path
from service.schemas.protocols import CheckedItem, Protocol

TABLE, RESULT, OBJECTS, CROPS_KEY = "frames.csv", "result.json", "dicom", "crops.key"

_OBJECT_NAME = re.compile(r"[0-9.]+\.dcm")
_MERCURE_FILES = {"task.json", RESULT}  # mercure also puts a file of tags, `*.tags`, next to each DICOM file


class JobResult(NamedTuple):
    """What a job came to; without a protocol, it has no items."""

    counts: Counts
    protocol: Protocol | None
    items: list[CheckedItem]


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
    choice: FrameChoice = field(default_factory=FrameChoice)
    protocol: Protocol | None = None  # of the exam that the files are
    crops: Path | None = None  # folder of crops for curation
    audit: AuditKey | None = None  # for the columns of an audit

    @property
    def objects(self) -> Path:
        """The folder of DICOM objects."""
        return self.target if self.mercure else self.target / OBJECTS

    def inputs(self, max_bytes: int) -> tuple[list[SourceFile], list[SkippedFile]]:
        """Return the files to read, and those that are skipped unread; raises `JobError` if there is neither."""
        files, skipped = [], []
        try:
            for entry in walk_folder(self.source):
                path = self.source / local_path(entry.file)
                if self._is_foreign(path):
                    continue
                if entry.skipped is None:
                    files.append(SourceFile.below(self.source, entry.file, max_bytes))
                else:
                    skipped.append(SkippedFile(file=entry.file, reason=entry.skipped))
        except OSError as error:
            raise JobError(f"{self.source} cannot be listed: {error.strerror}") from error
        if not files and not skipped:
            raise JobError(f"{self.source} has no files")
        return files, skipped

    def _is_foreign(self, path: Path) -> bool:
        """Return whether a file is one of mercure's, or a result of this job."""
        of_mercure = self.mercure and (path.suffix == ".tags" or path.name in _MERCURE_FILES)
        return of_mercure or (self.target in path.parents and self.source in self.target.parents)

    def delete_objects(self, names: set[str]) -> None:
        """Delete DICOM objects that an earlier run wrote."""
        for name in names:
            if _OBJECT_NAME.fullmatch(name):
                (self.objects / name).unlink(missing_ok=True)

    def key(self, package: ModelPackage) -> FolderKey:
        """Return what decides the results, besides the files."""
        selection = self.choice.selection
        return FolderKey(
            **JobKey.of(package).model_dump(), every=selection.every, limit=selection.limit, fps=selection.fps,
            best=self.choice.best, reports=self.reports, overlays=self.overlays,
            protocol=f"{self.protocol.id} {self.protocol.version}" if self.protocol else None,
            crops=self.crops is not None, audit_columns=self.audit.fingerprint if self.audit else None,
        )  # fmt: skip


class _Objects:
    """Stores the DICOM objects of a job.

    The UID of a result follows from that of its source. Scanners that reuse UIDs exist: the result of one file must not
    replace that of another one. `rows` are those of earlier runs.
    """

    def __init__(self, job: FolderJob, rows: Iterable[ResultRow]) -> None:
        self._job = job
        self._sources = {name: row.sha256 for row in rows for name in row.dicom}

    def store(self, result: DicomObject, file: SourceFile) -> str:
        """Write a DICOM object and return its file name.

        Raises `StoreError` where another file has the same UID, and `JobError`, as a full disk concerns all frames.
        """
        name, folder, source = f"{result.uid}.dcm", self._job.objects, file.sha256()
        if self._sources.setdefault(name, source) != source:
            raise StoreError(
                "Another file has the same SOP Instance UID and other contents, and has this result already."
            )
        try:
            folder.mkdir(parents=True, exist_ok=True)
            write_whole(folder / name, result.contents)
        except OSError as error:
            raise _cannot_write(self._job.target, error) from error
        return name


def mercure_job(environment: Mapping[str, str], choice: FrameChoice) -> FolderJob | None:
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
    return FolderJob(source, target, reports, overlays, mercure=True, choice=choice)


def process_folder(job: FolderJob, pipeline: Pipeline, threads: int) -> JobResult:
    """Process every chosen frame below a folder, or continue an interrupted job; return what all runs came to.

    Raises `JobError` if a folder cannot be used, another run uses the target, or it holds results of another job.
    """
    if not job.source.is_dir():
        raise JobError(f"{job.source} is not a folder")
    if job.source == job.target:
        raise JobError("OUT must be another folder than IN: results would be read as frames")
    files, skipped = job.inputs(pipeline.limits.max_bytes)
    package, planes = pipeline.engine.package, pipeline.engine.manifest.planes
    try:
        job.target.mkdir(parents=True, exist_ok=True)
        with one_run(job.target):
            for folder in {job.target, job.objects}:
                delete_drafts(folder)
            hash_files = partial(_hash_files, files, threads)
            with closing(ResultLog(job.target, job.key(package), hash_files, job.delete_objects)) as log:
                output = DicomOutput(job.reports, job.overlays, _Objects(job, log.rows()).store, job.protocol)
                wanted = output if job.reports or job.overlays else None
                crops = None
                if job.crops is not None:
                    crops = CropWriter(job.crops, read_or_make_key(job.target / CROPS_KEY, job.target)).write
                worker = FrameWorker(
                    pipeline, len(planes), dicom=wanted, hash_files=True, write_crop=crops, audit=job.audit
                )
                for finished in _run(files, run_job(files, worker, threads, log, job.choice)):
                    if isinstance(finished, SkippedFile):
                        skipped.append(finished)
                    else:
                        log.write(finished)
                log.counts.skipped = len(skipped)
                write_csv(log.rows(), planes, job.target / TABLE)
            return _write_result(job, log, skipped, package)
    except OSError as error:
        raise _cannot_write(job.target, error) from error


def _cannot_write(target: Path, error: OSError) -> JobError:
    return JobError(f"{target} cannot be written: {error.strerror}; run the same command again to continue")


def _hash_files(files: list[SourceFile], threads: int, names: set[str]) -> dict[str, str]:
    """Return the hash of each named file that can be read."""
    named = [file for file in files if file.name in names]
    with ThreadPoolExecutor(threads) as pool:
        hashes = pool.map(SourceFile.sha256, named)
        return {file.name: value for file, value in zip(named, hashes, strict=True) if value is not None}


def _write_result(job: FolderJob, log: ResultLog, skipped: list[SkippedFile], package: ModelPackage) -> JobResult:
    counts, protocol = log.counts, job.protocol
    items = check_rows(protocol, log.rows()) if protocol else []
    refusals = [
        {"file": row.file, "frame": row.frame, "problem": row.problem.code, "detail": row.problem.detail}
        for row in sorted(log.rows(), key=row_place)
        if row.problem is not None
    ]
    result = counts.model_dump() | {
        "refusals": refusals,
        "skipped_files": [each.model_dump() for each in sorted(skipped, key=lambda each: each.file)],
        "model": ModelIdentity.of(package)._asdict(),
        "version": __version__,
        "disclaimer": DISCLAIMER,
        "__mercure_notification": {"text": counts.text(), "requested": False},
    }
    if protocol is not None:
        result |= {"protocol": protocol.model_dump(exclude={"items"}), "items": [each.model_dump() for each in items]}
    write_whole(job.target / RESULT, json.dumps(result, indent=2).encode() + b"\n")
    return JobResult(counts, protocol, items)


def process_study(
    files: list[SourceFile], worker: FrameWorker, threads: int, choice: FrameChoice, show: Callable[[str], None]
) -> tuple[Counts, list[ResultRow]]:
    """Process the files of a study, whose results the worker stores; show each row, and return the counts and rows."""
    counts, rows = Counts(), list[ResultRow]()
    for finished in _run(files, run_job(files, worker, threads, choice=choice)):
        if isinstance(finished, SkippedFile):
            counts.skipped += 1
            continue
        for row in finished:
            counts.add(row)
            rows.append(row)
            show(row.model_dump_json())
    return counts, rows


def _run(files: list[SourceFile], finished: Iterable[Finished]) -> Iterator[Finished]:
    """Show the progress of a job."""
    seen: set[str] = set()
    with closing(JobProgress(len(files), "file")) as progress:
        for each in finished:
            yield each
            rows = [] if isinstance(each, SkippedFile) else each
            name = each.file if isinstance(each, SkippedFile) else each[0].file
            progress.add(int(name not in seen), len(rows))
            seen.add(name)
