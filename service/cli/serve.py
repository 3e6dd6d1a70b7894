"""The commands `serve` and `key`."""

import argparse
import logging
import os
import signal
import socket
import sys
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

from service.cli.arguments import CommandError, Commands, add_command, port_number

if TYPE_CHECKING:
    from service.inference.package import ModelPackage
    from service.settings import Settings


def register(commands: Commands) -> None:
    """Add the commands."""
    serve = add_command(commands, "serve", _serve, "serve the model over HTTP")
    serve.add_argument("--host", type=_host, default="127.0.0.1", help="address to listen on (default: %(default)s)")
    serve.add_argument("--port", type=port_number, default=8000, help="port to listen on (default: %(default)s)")
    instead = serve.add_mutually_exclusive_group()
    instead.add_argument("--uds", type=Path, metavar="PATH", help="listen on this Unix socket instead")
    instead.add_argument("--fd", type=int, metavar="N", help="listen on this inherited socket instead")

    key = add_command(commands, "key", _key, "create an API key, and print its line for the file FETAL_PLANES_API_KEYS")
    key.add_argument("name", help="name of the key's owner; it appears in the log")


def _host(text: str) -> str:
    if text.strip():
        return text.strip("[] ")  # as in a URL: [::1]
    raise argparse.ArgumentTypeError("an empty address would be every address; write 0.0.0.0 or ::")


def _serve(options: argparse.Namespace, settings: "Settings") -> int:
    from service.app import create_app
    from service.execution.decoders.decoder import check_system
    from service.execution.time_limit import run_within
    from service.server import Server

    check_system()  # report what is wrong in one line, before the server starts
    app = create_app(settings, run_within(settings.load_s, lambda: _read_files(settings)))
    warning = _check_memory(settings, app.state.runtime.cpu_budget.count)
    sockets, code = _sockets(options), 0
    server = Server(app, settings, options.host, options.port)  # it configures the log
    log = logging.getLogger("fetal_planes.service")
    if sockets:
        log.info("sockets", extra={"listening": [str(each.getsockname()) for each in sockets]})
    if warning:
        log.warning(warning)
    if settings.store is not None and settings.api_keys is None:
        log.warning("FETAL_PLANES_API_KEYS is not set: who reaches this address can read and erase all corrections")
    try:
        server.run(sockets)
    except SystemExit as failed:  # the start, for a reason in the log
        code = int(failed.code or 0)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the default would end the process with an error
    if options.uds is not None:
        options.uds.unlink(missing_ok=True)
    if app.state.runtime.stuck:
        os._exit(code)  # Python cannot end in order while ONNX Runtime works in a thread
    return code


def _read_files(settings: "Settings") -> "ModelPackage":
    """Return the model package, and read the protocols; raises `PackageError` and `ProtocolError`."""
    from service.analysis.protocols.load import load_protocols
    from service.inference.package import load_package

    package = load_package(settings.model)
    load_protocols(settings.protocols, settings.default_protocol, package.manifest)
    return package


def _check_memory(settings: "Settings", workers: int) -> str | None:
    """Return a warning where the container's memory may not suffice; raise CommandError where it cannot."""
    from service.execution.memory_budget import (
        MemoryLimitError,
        check_memory,
        least_memory,
        memory_limit,
        memory_need,
    )

    largest = max(settings.max_upload_bytes, settings.max_batch_bytes)  # admitted also beyond the limit on all uploads
    held = max(largest, settings.admission_limits(workers).held_bytes)
    decoder = settings.decoder_limits
    least = least_memory(settings.max_upload_bytes, decoder)
    try:
        return check_memory(memory_need(workers, held, decoder), least, memory_limit())
    except MemoryLimitError as error:
        raise CommandError(str(error)) from error


def _sockets(options: argparse.Namespace) -> list[socket.socket] | None:
    """Return the sockets to listen on; None where the server opens them itself, at an ordinary host and port."""
    from service.cli.sockets import dual_stack_socket, inherited_sockets, socket_of, unix_socket

    if options.uds is not None:
        return [unix_socket(options.uds)]
    if options.fd is not None:
        return [socket_of(options.fd)]
    if inherited := inherited_sockets(os.environ):
        return inherited
    return [dual_stack_socket(options.port)] if _is_any_ipv6(options.host) else None


def _is_any_ipv6(host: str) -> bool:
    try:
        address = ip_address(host)
    except ValueError:  # a name
        return False
    return address.version == 6 and address.is_unspecified


def _key(options: argparse.Namespace, _: "Settings") -> int:
    from service.api_keys import new_key

    key, line = new_key(options.name)
    sys.stdout.write(f"{line}\n")
    sys.stderr.write(f"The key, shown only once: {key}\n")
    return 0
