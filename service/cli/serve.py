"""The commands `serve` and `key`."""

import argparse
import sys
from typing import TYPE_CHECKING

from service.cli.arguments import Commands, add_command

if TYPE_CHECKING:
    from service.settings import Settings


def register(commands: Commands) -> None:
    """Add the commands."""
    serve = add_command(commands, "serve", _serve, "serve the model over HTTP")
    serve.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    serve.add_argument("--port", type=int, default=8000, help="port to listen on (default: %(default)s)")

    key = add_command(commands, "key", _key, "create an API key, and print its line for the file FETAL_PLANES_API_KEYS")
    key.add_argument("name", help="name of the key's owner; it appears in the log")


def _serve(options: argparse.Namespace, settings: "Settings") -> int:
    from service.app import create_app
    from service.inference.package import load_package
    from service.server import Server

    load_package(settings.model)  # report a bad package in one line, before the server starts
    Server(create_app(settings), settings, options.host, options.port).run()
    return 0


def _key(options: argparse.Namespace, _: "Settings") -> int:
    from service.api_keys import new_key

    key, line = new_key(options.name)
    sys.stdout.write(f"{line}\n")
    sys.stderr.write(f"The key, shown only once: {key}\n")
    return 0
