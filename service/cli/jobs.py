"""The commands `process` and `table`: jobs over folders, studies and object storage."""

import argparse
import os
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from service.cli.arguments import (
    CommandError,
    Commands,
    add_command,
    add_protocol,
    add_selection,
    positive,
    read_secret,
)
from service.cli.audit.columns import add_audit_columns, read_audit_key

if TYPE_CHECKING:
    from service.analysis.pipeline import Pipeline
    from service.jobs.process import FolderJob, JobResult
    from service.jobs.rows import Counts
    from service.jobs.runner import FrameChoice
    from service.jobs.worker import FrameWorker
    from service.schemas.protocols import Protocol
    from service.settings import Settings


def register(commands: Commands) -> None:
    """Add the commands."""
    process = add_command(commands, "process", _process, "classify every frame of a folder or of a DICOM study")
    process.add_argument(
        "folders", nargs="*", type=Path, metavar="IN OUT",
        help="folder of frames and folder of results (default: MERCURE_IN_DIR and MERCURE_OUT_DIR)",
    )  # fmt: skip
    process.add_argument("--reports", action="store_true", help="write a structured report for each DICOM frame")
    process.add_argument("--overlays", action="store_true", help="write a Secondary Capture for each DICOM frame")
    process.add_argument(
        "--crops", type=Path, metavar="FOLDER", help="write the sector of each named frame, without DICOM attributes"
    )
    process.add_argument("--dicomweb", metavar="URL", help="archive to read a study from, and to store results in")
    process.add_argument("--study", metavar="UID", help="Study Instance UID of the study")
    process.add_argument("--token", metavar="VARIABLE", help="environment variable with the archive's bearer token")
    add_selection(process)
    process.add_argument(
        "--best", action="store_true", help="of a loop, keep only the most probable frame of each plane"
    )
    add_protocol(process, "; it takes all files as one exam, and implies --best (default: none)")
    add_audit_columns(process)
    _add_allow_refused(process, "default under mercure")

    table = add_command(commands, "table", _table, "classify every frame below a folder into a Parquet table")
    table.add_argument("source", metavar="SOURCE", help="folder of frames, or its URL, such as s3://bucket/frames")
    table.add_argument("out", metavar="OUT", help="folder of the table, or its URL")
    table.add_argument("--ray", metavar="ADDRESS", help="Ray cluster to run on; `auto` is the cluster of this machine")
    table.add_argument(
        "--shard-files", type=positive, default=256, metavar="N",
        help="largest number of files in one part of the table (default: %(default)s)",
    )  # fmt: skip
    table.add_argument(
        "--shard-bytes", type=positive, default=256 * 2**20, metavar="N",
        help="largest number of bytes of these files (default: %(default)s)",
    )  # fmt: skip
    add_audit_columns(table)
    _add_allow_refused(table, "not the default")


def _add_allow_refused(command: argparse.ArgumentParser, default: str) -> None:
    command.add_argument(
        "--allow-refused", action=argparse.BooleanOptionalAction,
        help=f"exit with 0 even if frames were refused, or all files skipped ({default})",
    )  # fmt: skip


def _process(options: argparse.Namespace, settings: "Settings") -> int:
    from service.analysis.batch import Selection
    from service.cli.local import open_pipeline
    from service.execution.cpu_budget import cpu_budget
    from service.jobs.process import process_folder
    from service.jobs.runner import FrameChoice
    from service.jobs.worker import FrameWorker

    threads, audit = cpu_budget(settings.workers).count, read_audit_key(options, settings)
    selection = Selection(options.every, options.limit, options.fps)
    choice = FrameChoice(selection, options.best or options.protocol is not None)
    if not options.dicomweb and not options.study:
        job = _folder_job(options, choice)
        allowed = job.mercure if options.allow_refused is None else options.allow_refused
        with open_pipeline(settings) as pipeline:
            job = replace(job, protocol=_find_protocol(options, settings, pipeline), audit=audit)
            return _finish(process_folder(job, pipeline, threads), allow_refused=allowed)
    if not (options.dicomweb and options.study) or options.folders or options.crops:
        raise CommandError("--dicomweb and --study need each other, and take neither folders nor --crops")
    with open_pipeline(settings) as pipeline:
        worker = FrameWorker(pipeline, audit=audit)
        return _process_study(options, worker, choice, _find_protocol(options, settings, pipeline), threads)


def _find_protocol(options: argparse.Namespace, settings: "Settings", pipeline: "Pipeline") -> "Protocol | None":
    from service.cli.local import find_protocol

    return None if options.protocol is None else find_protocol(options, settings, pipeline)


def _process_study(
    options: argparse.Namespace, worker: "FrameWorker", choice: "FrameChoice", protocol: "Protocol | None", threads: int
) -> int:
    from service.cli.output import print_line, report_skipped
    from service.jobs.dicomweb import DicomWebArchive  # needs the extra `dicom`
    from service.jobs.process import JobResult, process_study
    from service.jobs.rows import check_rows
    from service.jobs.worker import DicomOutput

    archive = DicomWebArchive(options.dicomweb, _read_token(options.token))
    found = archive.contents(options.study)
    report_skipped(found.skipped)
    both = not (options.reports or options.overlays)  # the archive receives both unless one of them is asked for
    output = DicomOutput(
        options.reports or both, options.overlays or both, lambda result, _: archive.store(result), protocol
    )
    counts, rows = process_study(found.files, replace(worker, dicom=output), threads, choice, print_line)
    counts.skipped += len(found.skipped)
    items = check_rows(protocol, rows) if protocol else []
    code = _finish(JobResult(counts, protocol, items), allow_refused=options.allow_refused)
    if not found.complete:
        sys.stderr.write("fetal-planes: the archive has more objects of this study, but does not list them\n")
        return 1
    return code


def _read_token(variable: str | None) -> str | None:
    if variable is None:
        return None
    token = read_secret(variable)
    if token is None:
        raise CommandError(f"the variable {variable}, which --token names, is not set")
    return token


def _folder_job(options: argparse.Namespace, choice: "FrameChoice") -> "FolderJob":
    from service.jobs.process import FolderJob, mercure_job

    if not options.folders and (job := mercure_job(os.environ, choice)) is not None:
        return job
    if len(options.folders) != 2:
        raise CommandError("process needs two folders: IN with frames, and OUT for results")
    source, target = (folder.resolve() for folder in options.folders)
    crops = options.crops.resolve() if options.crops else None
    if crops is not None:
        if source in (crops, *crops.parents):
            raise CommandError("--crops must be outside of IN: a repetition would read the crops as frames")
        sys.stderr.write("fetal-planes: text inside the sector stays in the crops; look at each before you share it\n")
    return FolderJob(source, target, options.reports, options.overlays, choice=choice, crops=crops)


def _table(options: argparse.Namespace, settings: "Settings") -> int:
    from service.execution.cpu_budget import cpu_budget

    try:
        from service.jobs.tables.export import export_table
        from service.jobs.tables.plan import ShardSize
        from service.jobs.tables.shard import TableJob
    except ImportError as error:
        raise CommandError("table needs the extra `table`, see docs/how-to/scale-out.md") from error
    # Ray's processes have another working directory.
    model = settings.model.resolve() if options.model else settings.model
    audit = read_audit_key(options, settings)
    size = ShardSize(options.shard_files, options.shard_bytes)
    if not options.ray:
        threads = cpu_budget(settings.workers).count
        job = TableJob(options.source, options.out, model, threads, audit, settings.precision, settings.providers)
        return _finish_counts(export_table(job, settings.limits, size), allow_refused=options.allow_refused)
    try:
        from service.ray.tables import run_on_ray
    except ImportError as error:
        raise CommandError("--ray needs the extra `ray`, see docs/how-to/scale-out.md") from error
    # A shard asks the cluster for as many cores as it has threads; one thread each keeps all cores in work.
    job = TableJob(
        options.source, options.out, model, settings.workers or 1, audit, settings.precision, settings.providers
    )
    counts = export_table(job, settings.limits, size, partial(run_on_ray, options.ray))
    return _finish_counts(counts, allow_refused=options.allow_refused)


def _finish(result: "JobResult", *, allow_refused: bool | None) -> int:
    """Say what a job came to; return 1 if frames were refused or results are missing, else 0."""
    from service.reports.text import protocol_lines

    for line in protocol_lines(result.protocol, result.items) if result.protocol else ():
        sys.stderr.write(line + "\n")
    return _finish_counts(result.counts, allow_refused=allow_refused)


def _finish_counts(counts: "Counts", *, allow_refused: bool | None) -> int:
    sys.stderr.write(counts.text() + "\n")
    if not counts.frames and not allow_refused:
        raise CommandError(f"no file holds a frame (files skipped: {counts.skipped})")
    return int(counts.refused + counts.without_result > 0 and not allow_refused)
