"""The arguments of the command `listen`."""

import argparse
from pathlib import Path

from service.cli.arguments import add_protocol, add_selection, not_negative, port_number, positive


def add_arguments(listen: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    listen.add_argument("--aet", default="FETALPLANES", metavar="TITLE", help="own AE title (default: %(default)s)")
    listen.add_argument("--host", default="0.0.0.0", help="address to listen on (default: %(default)s)")  # noqa: S104
    listen.add_argument("--port", type=port_number, default=11112, help="port to listen on (default: %(default)s)")
    listen.add_argument(
        "--check",
        metavar="[TITLE@]HOST:PORT",
        help="check the connection with this scanner in both directions, and end",
    )
    listen.add_argument(
        "--wait", type=not_negative, default=60, metavar="S",
        help="seconds for which --check waits for the scanner's echo (default: %(default)s)",
    )  # fmt: skip
    _add_access(listen)
    _add_spool(listen)
    _add_results(listen)
    _add_studies(listen)
    listen.add_argument("--metrics-port", type=port_number, metavar="N", help="serve metrics on this port")


def _add_access(listen: argparse.ArgumentParser) -> None:
    listen.add_argument(
        "--allow-aet", action="append", default=[], metavar="TITLE", help="AE title that may send (default: all)"
    )
    listen.add_argument(
        "--allow-host", action="append", default=[], metavar="HOST", help="host or network that may send (default: all)"
    )
    listen.add_argument("--tls-cert", type=Path, metavar="FILE", help="own certificate: the listener speaks TLS only")
    listen.add_argument("--tls-key", type=Path, metavar="FILE", help="key of the certificate, if not in its file")
    listen.add_argument("--tls-ca", type=Path, metavar="FILE", help="authorities whose certificate a sender must have")
    for name, default, text in (
        ("max-associations", 16, "open associations"),
        ("max-pdu-kib", 256, "KiB of a PDU"),
        ("max-object-mib", 1024, "MiB of an object"),
        ("max-rate-mib", 100, "MiB per second of an association"),
        ("max-connections", 600, "connections of a host per minute"),
        ("timeout", 30, "seconds of silence of a peer"),
    ):
        listen.add_argument(
            f"--{name}", type=positive, default=default, metavar="N", help=f"limit on {text} (default: %(default)s)"
        )


def _add_spool(listen: argparse.ArgumentParser) -> None:
    listen.add_argument("--spool", type=Path, metavar="FOLDER", help="folder of received objects and waiting results")
    listen.add_argument(
        "--spool-mib", type=positive, default=10 * 1024, metavar="N",
        help="MiB in the spool at which scanners are asked to wait (default: %(default)s)",
    )  # fmt: skip


def _add_results(listen: argparse.ArgumentParser) -> None:
    listen.add_argument("--to", metavar="TITLE@HOST:PORT|URL", help="where DICOM results go, by C-STORE or STOW-RS")
    listen.add_argument("--to-tls", action="store_true", help="send results by C-STORE over TLS")
    listen.add_argument("--to-ca", type=Path, metavar="FILE", help="authorities of the destination (default: --tls-ca)")
    listen.add_argument("--token", metavar="VARIABLE", help="environment variable with the archive's bearer token")
    listen.add_argument(
        "--results", choices=("frame", "study"), default="frame",
        help="a structured report for each frame or for each study (default: %(default)s)",
    )  # fmt: skip
    listen.add_argument("--overlays", action="store_true", help="also send a Secondary Capture for each frame")
    add_selection(listen)
    listen.add_argument("--best", action="store_true", help="of a loop, only the most probable frame of each plane")
    listen.add_argument(
        "--give-up", type=positive, default=24, metavar="H",
        help="hours after which an undeliverable result is a dead letter (default: %(default)s)",
    )  # fmt: skip


def _add_studies(listen: argparse.ArgumentParser) -> None:
    listen.add_argument(
        "--study-idle", type=positive, default=120, metavar="S",
        help="seconds without a new object after which a study is complete (default: %(default)s)",
    )  # fmt: skip
    listen.add_argument("--exams", type=Path, metavar="FOLDER", help="write the exam of each study, as JSON and HTML")
    add_protocol(listen, ", once a study is complete")
    listen.add_argument("--webhook", metavar="URL", help="send the exam of each study, as signed JSON")
    listen.add_argument("--webhook-secret", metavar="VARIABLE", help="environment variable with the webhook's secret")
