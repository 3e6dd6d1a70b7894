"""The commands `classify`, `explain`, `cine` and `exam`, here or through a running service, and `sample`."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from service.cli.arguments import (
    PICTURE_TYPES,
    CommandError,
    Commands,
    add_command,
    add_frame,
    add_json,
    add_protocol,
    add_selection,
    add_set,
    add_url,
    not_negative,
)

if TYPE_CHECKING:
    from service.settings import Settings


def register(commands: Commands) -> None:
    """Add the commands."""
    classify = add_command(commands, "classify", _run, "classify frames, one line per frame")
    classify.add_argument("frames", nargs="+", metavar="FRAME", type=Path)
    add_frame(classify)
    add_set(classify)
    add_json(classify)
    add_url(classify)

    explain = add_command(commands, "explain", _explain, "show the evidence for a plane on a frame")
    explain.add_argument("frame", metavar="FRAME", type=Path)
    explain.add_argument("-o", "--output", type=_picture_path, metavar="FILE", help="picture to write: .jpg or .png")
    explain.add_argument("--dicom", type=Path, metavar="FOLDER", help="folder for report.dcm and overlay.dcm")
    explain.add_argument("--target", metavar="PLANE", help="plane to explain (default: the most probable one)")
    add_frame(explain)
    add_set(explain)
    add_url(explain)

    cine = add_command(commands, "cine", _run, "find the planes in a cine loop, and the most probable frame of each")
    cine.add_argument("file", metavar="FILE", type=Path)
    cine.add_argument("--frames", action="store_true", help="also print one line per frame")
    add_selection(cine)
    add_json(cine)
    add_url(cine)

    exam = add_command(commands, "exam", _run, "sort the files of an exam by plane, and list those that were not found")
    exam.add_argument("folder", metavar="FOLDER", type=Path)
    exam.add_argument("-o", "--output", type=Path, metavar="FILE", help="HTML page to write")
    add_protocol(exam, " (default: FETAL_PLANES_DEFAULT_PROTOCOL)")
    exam.add_argument(
        "--chosen", action="append", default=[], type=_file_and_frame, metavar="FILE:FRAME",
        help="frame that a person prefers to the most probable one of its plane: a path below FOLDER, and the index of "
        "the frame in the file, from 0; may be repeated",
    )  # fmt: skip
    exam.add_argument(
        "--unread", type=not_negative, default=0, metavar="N",
        help="number of further files of the exam that are not in FOLDER (default: 0)",
    )  # fmt: skip
    add_selection(exam)
    add_json(exam)
    add_url(exam)

    sample = add_command(commands, "sample", _sample, "draw frames to try the service with: no patient's image")
    sample.add_argument("folder", metavar="OUT", type=Path, help="folder to write the files to")


def _picture_path(text: str) -> Path:
    path = Path(text)
    if path.suffix.lower() not in PICTURE_TYPES:
        raise argparse.ArgumentTypeError(f"{text} must end in {', '.join(PICTURE_TYPES)}")
    return path


def _file_and_frame(text: str) -> tuple[str, int]:
    file, _, frame = text.rpartition(":")
    if not file:
        raise argparse.ArgumentTypeError(f"{text} must be a file and the index of a frame, such as loop.dcm:12")
    return file, not_negative(frame)


def _explain(options: argparse.Namespace, settings: "Settings") -> int:
    if options.output is None and options.dicom is None:
        raise CommandError("explain needs -o FILE for a picture, --dicom FOLDER for DICOM objects, or both")
    if options.url and (options.output is None or options.dicom is not None):
        raise CommandError("with --url, explain writes a picture (-o FILE) but no DICOM objects")
    return _run(options, settings)


def _run(options: argparse.Namespace, settings: "Settings") -> int:
    """Run a command through a running service, or with the model in this process."""
    if options.url:
        try:
            from service.cli import remote
        except ModuleNotFoundError as error:
            if error.name != "fetal_planes_client":
                raise
            raise CommandError("--url needs the package fetal-planes-client") from error
        return remote.COMMANDS[options.command](options)
    from service.cli import local

    return local.COMMANDS[options.command](options, settings)


def _sample(options: argparse.Namespace, _: "Settings") -> int:
    """Write the example files and print their paths. A file with other contents is never overwritten."""
    from service.cli.output import print_line, write_file
    from service.sample.examples import EXAMPLES, encode_example

    try:
        options.folder.mkdir(parents=True, exist_ok=True)
        contents = {options.folder / name: encode_example(example) for name, example in EXAMPLES.items()}
        taken = [path for path in contents if path.exists() and path.read_bytes() != contents[path]]
    except OSError as error:
        raise CommandError(f"{options.folder} cannot be used: {error.strerror}") from error
    except ImportError as error:
        raise CommandError("sample needs the extra `dicom`") from error
    if taken:
        raise CommandError(f"{taken[0]} already exists and is another file; name another folder")
    for path, content in contents.items():
        write_file(path, content)
        print_line(str(path))
    return 0
