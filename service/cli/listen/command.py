"""Run the command `listen`."""

import argparse
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from service.cli.arguments import CommandError, Commands, add_command
from service.cli.listen.arguments import add_arguments

if TYPE_CHECKING:
    from service.jobs.listener.options import ListenerOptions
    from service.settings import Settings


def register(commands: Commands) -> None:
    """Add the command."""
    add_arguments(
        add_command(commands, "listen", _listen, "receive images from scanners (DICOM C-STORE) and send results")
    )


def _listen(options: argparse.Namespace, settings: "Settings") -> int:
    try:
        from service.process_setup import configure_dicom_network

        configure_dicom_network()
    except ImportError as error:
        raise CommandError("listen needs the extra `dicom`, see docs/how-to/listen.md") from error
    from service.cli.listen.options import dicom_peer, listener_options, server_options

    server = server_options(options)
    if options.check is not None:
        from service.cli.output import print_line
        from service.jobs.listener.network.check import check_scanner

        peer = dicom_peer(options, options.check, title="ANY-SCP", tls=options.to_tls)
        return int(not check_scanner(peer, server, options.wait, print_line))
    return _run(options, listener_options(options, settings, server), settings)


@contextmanager
def _stop_signals() -> Iterator[threading.Event]:
    """Return a context with an event that SIGTERM and SIGINT set; afterwards their handlers are the earlier ones."""
    stopped = threading.Event()
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = [signal.signal(number, lambda *_: stopped.set()) for number in numbers]
    try:
        yield stopped
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _run(options: argparse.Namespace, listener_options: "ListenerOptions", settings: "Settings") -> int:
    import logging.config
    from contextlib import ExitStack
    from dataclasses import replace

    from service.cli.local import find_protocol, open_pipeline
    from service.jobs.listener.listener import Listener
    from service.observability.logs import log_config

    logging.config.dictConfig(log_config(settings.log_level))
    with ExitStack() as stack:
        stopped = stack.enter_context(_stop_signals())
        pipeline = stack.enter_context(open_pipeline(settings))
        studies = replace(listener_options.studies, protocol=find_protocol(options, settings, pipeline))
        listener = Listener(replace(listener_options, studies=studies), pipeline)
        if options.metrics_port is not None:
            from prometheus_client import start_http_server

            try:
                server, thread = start_http_server(options.metrics_port, registry=listener.metrics.registry)
            except OSError as error:
                listener.close()
                place = f"the metrics port {options.metrics_port}"
                raise CommandError(f"{place} cannot be used: {error.strerror}") from error
            stack.callback(thread.join)
            stack.callback(server.shutdown)
        listener.run(stopped)
    return 0
