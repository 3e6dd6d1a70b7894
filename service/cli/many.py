"""The commands `cine` and `exam`, and what `--url` does: the same answers, from a running service."""

import argparse
import asyncio
import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from functools import partial
from pathlib import Path

import httpx2

from service.analysis.batch import File, Selection
from service.analysis.batch_session import BatchSession, BatchTotals
from service.analysis.exam import ExamReader, choose_expected, draw_evidence
from service.analysis.pipeline import Pipeline
from service.client import BatchRecord, Client, CutShortError, RefusedError
from service.errors import NotFound, Problem
from service.execution.cpu_budget import cpu_budget
from service.execution.work import Work, work_context
from service.observability.request_id import new_request_id
from service.reports.answers import batch_record, exam_report
from service.reports.exam_html import render
from service.schemas.answers import PictureType
from service.schemas.batch import BatchEnd, FrameAnswer, FrameProblem
from service.schemas.exam import ExamReport
from service.schemas.problems import ProblemDetails
from service.settings import Settings

KEY_VARIABLE = "FETAL_PLANES_CLIENT_KEY"

_AHEAD = 3  # pieces of work a worker
_AT_ONCE = 8  # requests of a client


class RemoteError(Exception):
    """A running service could not be asked, or its answer is not whole."""


def add_url(command: argparse.ArgumentParser) -> None:
    """Let a command ask a running service."""
    command.add_argument("--url", metavar="URL", help=f"ask a running service, with the API key of {KEY_VARIABLE}")


def add_cine_arguments(command: argparse.ArgumentParser) -> None:
    """The arguments of `cine`."""
    command.add_argument("file", metavar="FILE", type=Path)
    command.add_argument("--frames", action="store_true", help="also print a line for each frame")
    _add_selection(command)
    add_url(command)


def add_exam_arguments(command: argparse.ArgumentParser) -> None:
    """The arguments of `exam`."""
    command.add_argument("folder", metavar="FOLDER", type=Path)
    command.add_argument("-o", "--output", type=Path, metavar="FILE", help="page of HTML to write")
    command.add_argument("--expect", metavar="PLANES", help="planes there should be, with commas between them")
    _add_selection(command)
    add_url(command)


def _add_selection(command: argparse.ArgumentParser) -> None:
    command.add_argument("--every", type=_positive, default=1, metavar="N", help="every n-th frame of each file")
    command.add_argument("--limit", type=_positive, metavar="N", help="at most so many frames of each file")


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError("must be 1 or more")
    return number


def cine(options: argparse.Namespace, settings: Settings, open_pipeline: Callable[[], Pipeline]) -> int:
    """Print what a file of several frames shows; 1 where frames were refused."""
    if options.url:
        with _client(options.url) as client:
            lines = client.classify_batch([options.file], every=options.every, limit=options.limit)
            return max(_print_cine(options, line) for line in lines)
    return asyncio.run(_cine_here(options, settings, open_pipeline()))


def _print_cine(options: argparse.Namespace, line: BatchRecord) -> int:
    if isinstance(line, BatchEnd):
        for each in line.summary.cines:
            sys.stdout.write(each.model_dump_json() + "\n")
        return 0
    refused = isinstance(line, FrameProblem)
    if options.frames or refused or (isinstance(line, FrameAnswer) and line.frame.count == 1):
        sys.stdout.write(line.model_dump_json() + "\n")
    return int(refused)


def exam(options: argparse.Namespace, settings: Settings, open_pipeline: Callable[[], Pipeline]) -> int:
    """Sort the files of a folder and those below it; 1 where some were refused."""
    paths = sorted(path for path in options.folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    if not paths:
        raise RemoteError(f"{options.folder} has no files")
    if options.url:
        report, page = _exam_remotely(options, paths)
    else:
        report, page = asyncio.run(_exam_here(options, settings, open_pipeline(), paths))
    if page is not None:
        options.output.write_text(page, encoding="utf-8")
    sys.stdout.write(report.model_dump_json() + "\n")
    return int(bool(report.refused))


def _exam_remotely(options: argparse.Namespace, paths: Sequence[Path]) -> tuple[ExamReport, str | None]:
    with _client(options.url) as client:
        asked = {"expect": options.expect, "every": options.every, "limit": options.limit}
        report = client.exam(paths, **asked)
        return report, client.exam_page(paths, **asked) if options.output else None


async def _exam_here(
    options: argparse.Namespace, settings: Settings, pipeline: Pipeline, paths: Sequence[Path]
) -> tuple[ExamReport, str | None]:
    planes = pipeline.engine.manifest.planes
    reader = ExamReader(planes, choose_expected(options.expect, settings.expected_planes, planes))
    files = [File(number, path.name, partial(_read, path)) for number, path in enumerate(paths)]
    with _workers(settings) as threads, work_context(Work(new_request_id())):
        session = _open_session(options, settings, pipeline, threads, thumbnails=options.output is not None)
        async with aclosing(session.lines(files)) as lines:
            async for line in lines:
                if isinstance(line, BatchTotals):
                    found = reader.finish(line)
                else:
                    reader.add(line)
        report = exam_report(found, pipeline.model)
        if options.output is None:
            return report, None
        evidence = await draw_evidence(found, reader, files, pipeline, session.run)
        return report, render(report, reader.thumbnails, evidence)


async def _cine_here(options: argparse.Namespace, settings: Settings, pipeline: Pipeline) -> int:
    code = 0
    planes = pipeline.engine.manifest.planes
    with _workers(settings) as threads, work_context(Work(new_request_id())):
        session = _open_session(options, settings, pipeline, threads)
        async with aclosing(session.lines([File(0, options.file.name, partial(_read, options.file))])) as lines:
            async for line in lines:
                code |= _print_cine(options, batch_record(line, planes))
    return code


def _workers(settings: Settings) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(cpu_budget(settings.workers).count)


def _open_session(
    options: argparse.Namespace,
    settings: Settings,
    pipeline: Pipeline,
    threads: ThreadPoolExecutor,
    *,
    thumbnails: bool = False,
) -> BatchSession:
    return BatchSession(
        pipeline=pipeline,
        run=partial(asyncio.get_running_loop().run_in_executor, threads),
        selection=Selection(options.every, options.limit),
        max_frames=settings.max_batch_frames,
        window=_AHEAD * cpu_budget(settings.workers).count,
        thumbnails=thumbnails,
    )


def classify_remotely(options: argparse.Namespace) -> int:
    """Print a line for each frame, as `classify` does without `--url`."""
    code = 0
    with _client(options.url) as client, ThreadPoolExecutor(_AT_ONCE) as threads:
        for line, refused in threads.map(partial(_classify_one, client), options.frames):
            code |= refused
            sys.stdout.write(line + "\n")
            sys.stdout.flush()
    return code


def _classify_one(client: Client, path: Path) -> tuple[str, int]:
    try:
        return client.classify(_read(path)).model_dump_json(), 0
    except Problem as problem:
        return ProblemDetails.of(problem, new_request_id()).model_dump_json(), 1
    except RefusedError as refused:
        return _problem_of(refused), 1


def explain_remotely(options: argparse.Namespace, media_type: PictureType) -> int:
    """Write the overlay and print the explanation, as `explain` does without `--url`."""
    with _client(options.url) as client:
        upload = _read(options.frame)
        answer = client.explain(upload, target=options.target)
        options.output.write_bytes(client.overlay(upload, target=options.target, media_type=media_type))
    sys.stdout.write(answer.model_dump_json() + "\n")
    return 0


def tell(command: Callable[[], int]) -> int:
    """Run a command of this module; a refusal is a line and the code 1, as of any frame that is refused.

    Raises
    ------
    RemoteError
        The service cannot be asked, its answer is not whole, or a file cannot be written.
    """
    try:
        return command()
    except Problem as problem:
        sys.stdout.write(ProblemDetails.of(problem, new_request_id()).model_dump_json() + "\n")
        return 1
    except RefusedError as refused:
        sys.stdout.write(_problem_of(refused) + "\n")
        return 1
    except (httpx2.TransportError, httpx2.InvalidURL) as error:
        raise RemoteError(f"the service cannot be asked: {error}") from error
    except CutShortError as error:
        raise RemoteError("the service's answer is not whole") from error
    except OSError as error:
        raise RemoteError(f"{error.filename}: {error.strerror}") from error


def _problem_of(refused: RefusedError) -> str:
    """The service's own words; where it has none, a proxy spoke for it."""
    if refused.problem is None:
        raise RemoteError(f"something before the service answers {refused.status}") from refused
    return refused.problem.model_dump_json()


def _client(url: str) -> Client:
    return Client(url, api_key=os.environ.get(KEY_VARIABLE))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise NotFound(f"The file cannot be read: {error.strerror}.") from error
