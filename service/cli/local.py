"""The commands for frames, with the model in this process."""

import argparse
import asyncio
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, closing, contextmanager
from functools import partial
from pathlib import Path

from service.analysis.batch import File, Selection
from service.analysis.batch_session import BatchSession, local_session
from service.analysis.exam.evidence import draw_evidence
from service.analysis.exam.reader import ExamOptions, ExamReader
from service.analysis.pipeline import Pipeline
from service.analysis.protocols.load import choose_protocol, load_protocols
from service.analysis.results import ExplainedFrame
from service.api.uploads import expand_archives
from service.cli.arguments import PICTURE_TYPES, CommandError
from service.cli.output import (
    chosen_frames,
    exam_files,
    print_answer,
    print_cine,
    print_exam,
    print_line,
    read_file,
    write_file,
)
from service.errors import BadParameter, Problem
from service.execution.cpu_budget import cpu_budget
from service.execution.decoders.pool import open_decoder
from service.execution.time_limit import run_within
from service.execution.work import Work, work_context
from service.imaging.files.archive import is_zip
from service.imaging.files.local_file import LocalFile, open_regular
from service.inference.package import load_package
from service.inference.precision import choose_precision
from service.inference.prediction_set import SetRule
from service.inference.providers import open_engine
from service.jobs.outputs import one_run
from service.observability.trace import new_request_id
from service.reports.answers import batch_record, classification, exam_report, explained
from service.reports.exam_html import render
from service.schemas.answers import Classification
from service.schemas.file_names import path_text
from service.schemas.problems import ProblemDetails
from service.schemas.protocols import Protocol
from service.settings import Settings


@contextmanager
def open_pipeline(settings: Settings) -> Iterator[Pipeline]:
    """Return a context with the model and decoders; raises `PackageError`."""
    with closing(open_decoder(settings.decoder_limits, cpu_budget(settings.workers).count)) as decoder:
        package = choose_precision(load_package(settings.model).on(settings.providers), settings.precision)
        yield Pipeline(open_engine(package), settings.limits, decoder)


def find_protocol(options: argparse.Namespace, settings: Settings, pipeline: Pipeline) -> Protocol:
    """Return the protocol that the options name; raises `ProtocolError`, `NoSuchProtocol` and `TimeLimitError`."""
    manifest = pipeline.engine.manifest
    load = partial(load_protocols, settings.protocols, settings.default_protocol, manifest)
    protocols = run_within(settings.load_s, load)
    return choose_protocol(protocols, options.protocol)


def classify(options: argparse.Namespace, settings: Settings) -> int:
    """Print one line per frame, in order; return 1 if a frame was refused, else 0."""
    code = 0
    with open_pipeline(settings) as pipeline, ThreadPoolExecutor(cpu_budget(settings.workers).count) as threads:
        sets = _set_rule(options, pipeline)
        answers = threads.map(partial(_classify_one, pipeline, options.index, sets), options.frames)
        for path, answer in zip(options.frames, answers, strict=True):
            code |= print_answer(options, path, answer)
    return code


def _set_rule(options: argparse.Namespace, pipeline: Pipeline) -> SetRule | None:
    """Return the rule of the prediction sets that the options ask for; raises `CommandError` where there is none."""
    manifest, level = pipeline.engine.manifest, options.set_level
    try:
        return None if level is None else SetRule.of(manifest.planes, manifest.prediction_sets, level)
    except BadParameter as problem:
        raise CommandError(problem.detail.replace("`set`", "--set")) from problem


def _classify_one(pipeline: Pipeline, index: int, sets: SetRule | None, path: Path) -> Classification | ProblemDetails:
    with work_context(Work(new_request_id())) as work:
        try:
            return classification(pipeline.classify(read_file(path), index=index), sets=sets)
        except Problem as problem:
            return ProblemDetails.of(problem, work.request_id)


def explain(options: argparse.Namespace, settings: Settings) -> int:
    """Write a picture, DICOM objects or both, and print the explanation."""
    with open_pipeline(settings) as pipeline, work_context(Work(new_request_id())):
        sets = _set_rule(options, pipeline)
        upload = read_file(options.frame)
        result = pipeline.explain(upload, index=options.index, target=options.target)
        files = _explained_files(options, pipeline, upload, result)  # all of them, before the first is written
        answer = explained(result, None, sets=sets)
    with _output_folder(options.dicom):
        for path, contents in files.items():
            write_file(path, contents)
    print_line(answer.model_dump_json())
    return 0


@contextmanager
def _output_folder(folder: Path | None) -> Iterator[None]:
    """Keep other runs out of a folder while its files are written, so that they belong together."""
    if folder is None:
        yield
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with one_run(folder):
            yield
    except OSError as error:
        raise CommandError(f"{folder} cannot be written: {error.strerror}") from error


def _explained_files(
    options: argparse.Namespace, pipeline: Pipeline, upload: bytes, result: ExplainedFrame
) -> dict[Path, bytes]:
    files: dict[Path, bytes] = {}
    if options.output is not None:
        files[options.output] = pipeline.draw(result, PICTURE_TYPES[options.output.suffix.lower()])
    if options.dicom is not None:
        from service.api.dicom_responses import require_dicom
        from service.reports.dicom.secondary_capture import write_overlay  # takes half a second to import
        from service.reports.dicom.structured_report import write_report

        require_dicom(upload)
        files[options.dicom / "report.dcm"] = write_report(pipeline, result).contents
        files[options.dicom / "overlay.dcm"] = write_overlay(pipeline, result).contents
    return files


def cine(options: argparse.Namespace, settings: Settings) -> int:
    """Print the summary of a file with several frames; return 1 if a frame was refused, else 0."""
    with open_pipeline(settings) as pipeline:
        return asyncio.run(_cine(options, settings, pipeline))


async def _cine(options: argparse.Namespace, settings: Settings, pipeline: Pipeline) -> int:
    code = 0
    with _batch_session(options, settings, pipeline) as session:
        files = _cine_files(options.file, settings)
        async with aclosing(session.lines(files)) as lines:
            async for line in lines:
                code |= print_cine(options, batch_record(line))
    return code


def _cine_files(path: Path, settings: Settings) -> list[File]:
    """Return the file, which may be too long for the memory, or the files in an archive."""
    name = path_text(path.name)
    try:
        with open_regular(path) as file:
            if is_zip(file.read(4)):
                parts = [(slice(None), name)]
                return expand_archives(read_file(path), parts, settings.max_batch_frames, settings.max_upload_bytes)
    except OSError:  # a pipe, or nothing
        return [File(0, name, partial(read_file, path))]
    return [File(0, name, partial(LocalFile, path))]


def exam(options: argparse.Namespace, settings: Settings) -> int:
    """Sort the files below a folder, write the page and print the exam report; return 1 if a file was refused."""
    found = exam_files(options.folder)
    max_bytes = settings.limits.max_bytes
    files = [File(number, each.name, partial(each.read, max_bytes)) for number, each in enumerate(found)]
    chosen = frozenset(chosen_frames(options, found))
    with open_pipeline(settings) as pipeline:
        protocol = find_protocol(options, settings, pipeline)
        reader = ExamReader(pipeline.engine.manifest.planes, ExamOptions(protocol, chosen, options.unread))
        return asyncio.run(_exam(options, settings, files, pipeline, reader))


async def _exam(
    options: argparse.Namespace, settings: Settings, files: Sequence[File], pipeline: Pipeline, reader: ExamReader
) -> int:
    with _batch_session(options, settings, pipeline, thumbnails=options.output is not None) as session:
        report, page = await exam_report(session, files, reader), None
        if options.output is not None:
            evidence = await draw_evidence(report, reader, files, pipeline, session.run)
            page = render(report, reader.thumbnails, evidence)
    return print_exam(options, report, page)


@contextmanager
def _batch_session(
    options: argparse.Namespace, settings: Settings, pipeline: Pipeline, *, thumbnails: bool = False
) -> Iterator[BatchSession]:
    threads = cpu_budget(settings.workers).count
    selection = Selection(options.every, options.limit, options.fps)
    with (
        work_context(Work(new_request_id())),
        local_session(pipeline, threads, selection, settings.max_batch_frames, thumbnails=thumbnails) as session,
    ):
        yield session


COMMANDS = {"classify": classify, "explain": explain, "cine": cine, "exam": exam}
