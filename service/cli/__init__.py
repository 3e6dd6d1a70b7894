"""The command `fetal-planes`: serve over HTTP, or classify and explain frames without a server."""

import argparse
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from pydantic import ValidationError

from service import __version__
from service.analysis.pipeline import Pipeline
from service.analysis.results import ExplainedFrame
from service.api.dicom_responses import require_dicom
from service.api.middleware.api_keys import KeyFileError, new_key
from service.app import create_app
from service.cli.many import (
    RemoteError,
    add_cine_arguments,
    add_exam_arguments,
    add_url,
    cine,
    classify_remotely,
    exam,
    explain_remotely,
    tell,
)
from service.errors import NotFound, Problem
from service.execution.cpu_budget import cpu_budget
from service.execution.work import Work, work_context
from service.inference.engine import Engine
from service.inference.package import PackageError, load_package
from service.jobs.command import UsageError, process
from service.jobs.command import add_arguments as add_process_arguments
from service.jobs.tables.command import add_arguments as add_archive_arguments
from service.jobs.tables.command import export_table_command
from service.load_test.command import add_arguments as add_bench_arguments
from service.load_test.command import bench
from service.observability.request_id import new_request_id
from service.process_setup import configure_process
from service.reports.answers import classification, explained
from service.schemas.answers import PictureType
from service.schemas.problems import ProblemDetails
from service.server import Server
from service.settings import Settings

_PICTURES: dict[str, PictureType] = {".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. The exit code: 0 well, 1 a frame was refused, 2 the command, settings or model are wrong."""
    options = _parser().parse_args(arguments)
    configure_process()
    try:
        settings = Settings() if options.model is None else Settings(model=options.model)
        return int(options.run(options, settings))
    except ValidationError as error:
        return _fail(f"the settings are wrong: {error}")
    except PackageError as error:
        return _fail(f"the model package is refused: {error}")
    except RemoteError as error:
        return _fail(str(error))
    except KeyFileError as error:
        return _fail(f"the API keys are refused: {error}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="fetal-planes", description="Research use only. Not a medical device.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    serve = _command(commands, "serve", _serve, "answer over HTTP")
    serve.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    serve.add_argument("--port", type=int, default=8000, help="port to listen on (default: %(default)s)")

    key = _command(commands, "key", _key, "make an API key, and the line that FETAL_PLANES_API_KEYS has to hold for it")
    key.add_argument("name", help="whose it is; it appears in the log")

    add_bench_arguments(_command(commands, "bench", _bench, "load a running service, and tell what it took"))

    classify = _command(commands, "classify", _classify, "name the planes of frames, one line of JSON each")
    classify.add_argument("frames", nargs="+", metavar="FRAME", type=Path)
    add_url(classify)

    add_cine_arguments(_command(commands, "cine", _cine, "tell which planes a loop shows, and its best frames"))
    add_exam_arguments(
        _command(commands, "exam", _exam, "sort an exam's files: the best of each plane, what is missing")
    )

    explain = _command(commands, "explain", _explain, "paint the evidence for a plane over a frame")
    explain.add_argument("frame", metavar="FRAME", type=Path)
    explain.add_argument("-o", "--output", type=_picture_path, metavar="FILE", help="picture to write: .jpg or .png")
    explain.add_argument("--dicom", type=Path, metavar="FOLDER", help="write report.dcm and overlay.dcm into it")
    explain.add_argument("--target", metavar="PLANE", help="plane to explain (default: the first prediction)")
    add_url(explain)

    add_process_arguments(_command(commands, "process", _process, "work through a folder, or a study of an archive"))
    add_archive_arguments(
        _command(commands, "archive", _archive, "classify a tree into a table, on one machine or many")
    )
    return parser


def _command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    run: Callable[[argparse.Namespace, Settings], int],
    summary: str,
) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=summary, description=summary)
    command.add_argument("--model", type=Path, metavar="FOLDER", help="model package (default: FETAL_PLANES_MODEL)")
    command.set_defaults(run=run)
    return command


def _picture_path(text: str) -> Path:
    path = Path(text)
    if path.suffix.lower() not in _PICTURES:
        raise argparse.ArgumentTypeError(f"{text} must end in {', '.join(_PICTURES)}")
    return path


def _serve(options: argparse.Namespace, settings: Settings) -> int:
    load_package(settings.model)  # a bad package is told in one line, before a server is set up
    Server(create_app(settings), settings, options.host, options.port).run()
    return 0


def _bench(options: argparse.Namespace, _: Settings) -> int:
    try:
        return bench(options)
    except (OSError, ValueError) as error:
        return _fail(str(error))


def _key(options: argparse.Namespace, _: Settings) -> int:
    key, line = new_key(options.name)
    sys.stdout.write(f"{line}\n")
    sys.stderr.write(f"The key, which is shown this once: {key}\n")
    return 0


def _cine(options: argparse.Namespace, settings: Settings) -> int:
    return tell(lambda: cine(options, settings, partial(_open_pipeline, settings)))


def _exam(options: argparse.Namespace, settings: Settings) -> int:
    return tell(lambda: exam(options, settings, partial(_open_pipeline, settings)))


def _classify(options: argparse.Namespace, settings: Settings) -> int:
    if options.url:
        return tell(lambda: classify_remotely(options))
    pipeline = _open_pipeline(settings)
    refused = False
    with ThreadPoolExecutor(cpu_budget(settings.workers).count) as threads:
        for line, well in threads.map(partial(_classify_one, pipeline), options.frames):
            refused |= not well
            sys.stdout.write(line + "\n")
            sys.stdout.flush()
    return int(refused)


def _classify_one(pipeline: Pipeline, path: Path) -> tuple[str, bool]:
    with work_context(Work(new_request_id())) as work:
        try:
            return classification(pipeline.classify(_read(path))).model_dump_json(), True
        except Problem as problem:
            return ProblemDetails.of(problem, work.request_id).model_dump_json(), False


def _explain(options: argparse.Namespace, settings: Settings) -> int:
    if options.output is None and options.dicom is None:
        return _fail("explain writes a picture (-o FILE), DICOM objects (--dicom FOLDER), or both")
    if options.url:
        if options.output is None or options.dicom is not None:
            return _fail("with --url, explain writes a picture (-o FILE) and no DICOM objects")
        return tell(lambda: explain_remotely(options, _PICTURES[options.output.suffix.lower()]))
    pipeline = _open_pipeline(settings)
    with work_context(Work(new_request_id())) as work:
        try:
            upload = _read(options.frame)
            result = pipeline.explain(upload, target=options.target)
            files = _explained_files(options, pipeline, upload, result)
            answer = explained(result, None)
        except Problem as problem:
            sys.stdout.write(ProblemDetails.of(problem, work.request_id).model_dump_json() + "\n")
            return 1
    for path, contents in files.items():
        try:
            if path.parent == options.dicom:
                path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(contents)
        except OSError as error:
            return _fail(f"{path} cannot be written: {error.strerror}")
    sys.stdout.write(answer.model_dump_json() + "\n")
    return 0


def _explained_files(
    options: argparse.Namespace, pipeline: Pipeline, upload: bytes, result: ExplainedFrame
) -> dict[Path, bytes]:
    files: dict[Path, bytes] = {}
    if options.output is not None:
        files[options.output] = pipeline.draw(result, _PICTURES[options.output.suffix.lower()])
    if options.dicom is not None:
        require_dicom(upload)
        from service.reports.dicom.write import write_overlay, write_report  # it takes half a second to load

        files[options.dicom / "report.dcm"] = write_report(pipeline, result).contents
        files[options.dicom / "overlay.dcm"] = write_overlay(pipeline, result).contents
    return files


def _process(options: argparse.Namespace, settings: Settings) -> int:
    try:
        return process(options, settings, _open_pipeline(settings))
    except UsageError as error:
        return _fail(str(error))


def _archive(options: argparse.Namespace, settings: Settings) -> int:
    try:
        return export_table_command(options, settings)
    except UsageError as error:
        return _fail(str(error))


def _open_pipeline(settings: Settings) -> Pipeline:
    return Pipeline(Engine(load_package(settings.model)), settings.limits)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise NotFound(f"The file cannot be read: {error.strerror}.") from error


def _fail(message: str) -> int:
    sys.stderr.write(f"fetal-planes: {message}\n")
    return 2
