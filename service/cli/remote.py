"""The commands for frames, through a running service: the same answers as with the model in this process."""

import argparse
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from fetal_planes_client import (
    BatchRecord,
    Client,
    ClientError,
    CutShortError,
    NamedUpload,
    RefusedError,
    UnreachableError,
)
from service.cli.arguments import KEY_VARIABLE, PICTURE_TYPES, CommandError, RefusedFrame, read_secret
from service.cli.output import (
    ExamFile,
    chosen_frames,
    exam_files,
    print_answer,
    print_cine,
    print_exam,
    print_line,
    read_file,
    write_file,
)
from service.errors import Problem
from service.imaging.files.local_file import LocalFile
from service.observability.trace import new_request_id
from service.schemas.answers import Classification
from service.schemas.batch import BatchEnd, FrameAnswer, FrameProblem
from service.schemas.exam import ExamReport
from service.schemas.file_names import path_text
from service.schemas.problems import ProblemDetails

T = TypeVar("T", bound=BaseModel)

_CONCURRENT_REQUESTS = 8


def classify(options: argparse.Namespace) -> int:
    """Print one line per frame, in order; return 1 if a frame was refused, else 0."""
    code = 0
    with _connect(options.url) as client, ThreadPoolExecutor(_CONCURRENT_REQUESTS) as threads:
        answers = threads.map(partial(_classify_one, client, options), options.frames)
        for path, answer in zip(options.frames, answers, strict=True):
            code |= print_answer(options, path, answer)
    return code


def _classify_one(client: Client, options: argparse.Namespace, path: Path) -> Classification | ProblemDetails:
    try:
        return _of_service(
            Classification, client.classify(read_file(path), index=options.index, set_level=options.set_level)
        )
    except Problem as problem:
        return ProblemDetails.of(problem, new_request_id())
    except RefusedError as error:
        return _problem(error)


def explain(options: argparse.Namespace) -> int:
    """Write a picture and print the explanation; return 1 if the frame was refused, else 0."""
    upload = read_file(options.frame)
    with _connect(options.url) as client:
        answer = client.explain(upload, index=options.index, target=options.target, set_level=options.set_level)
        media_type = PICTURE_TYPES[options.output.suffix.lower()]
        overlay = client.overlay(upload, index=options.index, target=options.target, media_type=media_type)
    write_file(options.output, overlay)
    print_line(answer.model_dump_json())
    return 0


def cine(options: argparse.Namespace) -> int:
    """Print the summary of a file with several frames; return 1 if a frame was refused, else 0."""
    with _connect(options.url) as client:
        files = [NamedUpload(path_text(options.file.name), options.file)]
        lines = client.classify_batch(files, every=options.every, limit=options.limit, fps=options.fps)
        return max(print_cine(options, _record(line)) for line in lines)


def exam(options: argparse.Namespace) -> int:
    """Sort the files below a folder, write the page and print the exam report; return 1 if a file was refused."""
    found = exam_files(options.folder)
    files = [NamedUpload(each.name, _upload(each)) for each in found]
    selection: dict[str, Any] = {
        name: getattr(options, name) for name in ("protocol", "every", "limit", "unread", "fps")
    }
    selection["chosen"] = chosen_frames(options, found)
    with _connect(options.url) as client:
        report = _of_service(ExamReport, client.exam(files, **selection))
        page = client.exam_page(files, **selection) if options.output else None
    return print_exam(options, report, page)


def _upload(file: ExamFile) -> Path | bytes:
    """Return a path, or the bytes of a file in an archive; of one that cannot be read, none: the service refuses it."""
    found = file.read(sys.maxsize)
    if isinstance(found, LocalFile):
        return found.path
    try:
        return found.read()
    except Problem:
        return b""


@contextmanager
def _connect(url: str) -> Iterator[Client]:
    """Open a client; turn its errors into `CommandError` or `RefusedFrame`."""
    try:
        with _client(url) as client:
            yield client
    except UnreachableError as error:
        raise CommandError(f"the service cannot be reached: {error}") from error
    except OSError as error:
        raise CommandError(f"{error.filename} cannot be read: {error.strerror}") from error
    except CutShortError as error:
        raise CommandError("the service's answer is incomplete") from error
    except RefusedError as error:
        raise RefusedFrame(_problem(error).model_dump_json()) from error
    except ClientError as error:
        raise CommandError(f"{url} does not answer as this service does: {error}") from error


def _client(url: str) -> Client:
    try:
        return Client(url, api_key=read_secret(KEY_VARIABLE))
    except (OSError, ValueError, ImportError) as error:  # ImportError: a SOCKS proxy, which needs another package
        names = "SSL_CERT_FILE, SSL_CERT_DIR, HTTP_PROXY, HTTPS_PROXY, ALL_PROXY"
        raise CommandError(f"certificates or proxy cannot be used ({names}): {error}") from error


def _problem(refused: RefusedError) -> ProblemDetails:
    """Return the service's problem; an answer without one comes from a proxy in between."""
    if refused.problem is None:
        raise CommandError(f"a proxy in front of the service answers {refused.status}") from refused
    return _of_service(ProblemDetails, refused.problem)


def _record(line: BatchRecord) -> FrameAnswer | FrameProblem | BatchEnd:
    kinds: tuple[type[FrameAnswer | FrameProblem | BatchEnd], ...] = (FrameAnswer, FrameProblem, BatchEnd)
    (kind,) = (kind for kind in kinds if kind.__name__ == type(line).__name__)
    return _of_service(kind, line)


def _of_service(kind: type[T], answer: BaseModel) -> T:
    """Return an answer of the client as the service's own type, which the commands print."""
    try:
        return kind.model_validate(answer.model_dump())
    except ValidationError as error:
        raise CommandError(f"the service has another version: its {kind.__name__} cannot be read here") from error


COMMANDS = {"classify": classify, "explain": explain, "cine": cine, "exam": exam}
