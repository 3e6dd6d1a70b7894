"""Arguments that several commands share. This module imports nothing outside the standard library."""

import argparse
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from service.schemas.answers import PictureType
    from service.settings import Settings

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
Handler: TypeAlias = "Callable[[argparse.Namespace, Settings], int]"

KEY_VARIABLE = "FETAL_PLANES_CLIENT_KEY"
PICTURE_TYPES: dict[str, "PictureType"] = {".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png"}


class CommandError(Exception):
    """A command cannot run as it was given; the message says why. Its exit code is 2."""


class RefusedFrame(Exception):  # noqa: N818 (the command is right)
    """A service refuses a frame; the message is the problem as a JSON line, for standard output. Its exit code is 1."""


def add_command(commands: Commands, name: str, handler: Handler, summary: str) -> argparse.ArgumentParser:
    """Add a command; `handler` runs it and returns its exit code."""
    command = commands.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
    command.add_argument("--model", type=Path, metavar="FOLDER", help="model package (default: FETAL_PLANES_MODEL)")
    command.set_defaults(handler=handler)
    return command


def add_url(command: argparse.ArgumentParser) -> None:
    """Add the option that sends frames to a running service instead."""
    command.add_argument(
        "--url", metavar="URL", help=f"send the frames to this running service, with the API key in {KEY_VARIABLE}"
    )


def add_json(command: argparse.ArgumentParser) -> None:
    """Add the option that writes JSON to a terminal, too."""
    command.add_argument("--json", action="store_true", help="write JSON (the default where no terminal reads it)")


def add_selection(command: argparse.ArgumentParser) -> None:
    """Add the options that select frames of a file."""
    rate = command.add_mutually_exclusive_group()
    rate.add_argument(
        "--every", type=positive, default=1, metavar="N", help="classify every N-th frame of each file (default: 1)"
    )
    rate.add_argument(
        "--fps",
        type=_rate,
        metavar="N",
        help="classify N frames of each second of a video or a timed loop; of other files, all",
    )
    command.add_argument("--limit", type=positive, metavar="N", help="classify at most N frames of each file")


def add_protocol(command: argparse.ArgumentParser, otherwise: str) -> None:
    """Add the option that names the protocol of an exam; its help ends with `otherwise`."""
    command.add_argument(
        "--protocol", metavar="ID",
        help=f"protocol that the exam should fulfill, such as fetal-biometry{otherwise}",
    )  # fmt: skip


def add_frame(command: argparse.ArgumentParser) -> None:
    """Add the option that names one frame of a file."""
    command.add_argument(
        "--frame", dest="index", type=not_negative, default=0, metavar="N",
        help="index of the frame in a file of several, from 0 (default: 0)",
    )  # fmt: skip


def add_set(command: argparse.ArgumentParser) -> None:
    """Add the option that asks for prediction sets."""
    command.add_argument(
        "--set", dest="set_level", type=_level, metavar="LEVEL",
        help="also give the smallest set of planes with this coverage on validation patients, such as 0.95",
    )  # fmt: skip


def _rate(text: str) -> float:
    with suppress(ValueError):
        if 0.001 <= (rate := float(text)) <= 1000:
            return rate
    raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0.001 to 1000")


def _level(text: str) -> float:
    with suppress(ValueError):
        if 0.5 <= (level := float(text)) < 1:
            return level
    raise argparse.ArgumentTypeError(f"{text!r} is not a number of at least 0.5 and below 1")


def not_negative(text: str) -> int:
    """Return an integer of at least 0."""
    with suppress(ValueError):
        if (number := int(text)) >= 0:
            return number
    raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 0")


def positive(text: str) -> int:
    """Return an integer of at least 1."""
    with suppress(ValueError):
        if (number := int(text)) >= 1:
            return number
    raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")


def port_number(text: str) -> int:
    """Return a TCP port."""
    if text.isascii() and text.isdecimal() and int(text) <= 65535:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a port, 0 to 65535")


def positive_list(text: str) -> list[int]:
    """Return integers of at least 1, written with commas between them."""
    return [positive(part) for part in text.split(",")]


def read_secret(variable: str) -> str | None:
    """Return the key or token that an environment variable holds, None where it is unset or empty."""
    value = os.environ.get(variable, "").strip()
    if not (value.isascii() and value.isprintable()):  # errors of HTTP libraries would quote it
        raise CommandError(f"the environment variable {variable} holds characters that no key or token has")
    return value or None
