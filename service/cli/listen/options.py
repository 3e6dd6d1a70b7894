"""What the command line of `listen` says, as the options of a listener."""

import argparse
import re
import socket
from contextlib import suppress
from ipaddress import IPv4Network, IPv6Network, ip_network

from service.analysis.batch import Selection
from service.cli.arguments import CommandError, read_secret
from service.execution.cpu_budget import cpu_budget
from service.jobs.listener.options import (
    Access,
    DicomPeer,
    DicomWebPeer,
    ListenerOptions,
    NetworkLimits,
    ResultOptions,
    ServerOptions,
    StudyOptions,
    TlsFiles,
    Webhook,
)
from service.jobs.runner import FrameChoice
from service.settings import Settings

_PEER = re.compile(r"(?:(?P<title>[^@]{1,16})@)?(?P<host>\[[0-9a-fA-F:.]+\]|[\w.-]+):(?P<port>\d{1,5})")
_MIB = 2**20


def server_options(options: argparse.Namespace) -> ServerOptions:
    """Return where to listen, as whom and for whom; raises `CommandError`."""
    if not _is_title(options.aet):
        raise CommandError(f"{options.aet!r} is not an AE title: 1 to 16 characters of ASCII without a backslash")
    access = Access(
        tuple(options.allow_aet), tuple(network for host in options.allow_host for network in _networks(host))
    )
    limits = NetworkLimits(
        associations=options.max_associations,
        pdu_bytes=options.max_pdu_kib * 1024,
        object_bytes=options.max_object_mib * _MIB,
        bytes_per_s=options.max_rate_mib * _MIB,
        connections_per_minute=options.max_connections,
        timeout_s=float(options.timeout),
    )
    tls = TlsFiles(options.tls_cert, options.tls_key, options.tls_ca)
    return ServerOptions(options.aet, options.host, options.port, tls, access, limits)


def listener_options(options: argparse.Namespace, settings: Settings, server: ServerOptions) -> ListenerOptions:
    """Return everything that a listener needs to know; raises `CommandError`."""
    if options.spool is None:
        raise CommandError("listen needs --spool: objects are on the disk before they are acknowledged")
    results, studies = _result_options(options), _study_options(options, settings)
    if results.destination is None and not studies.wants_exam:
        raise CommandError("nothing would be done with what arrives: give --to, --exams or --webhook")
    threads = cpu_budget(settings.workers).count
    return ListenerOptions(server, options.spool.resolve(), options.spool_mib * _MIB, results, studies, threads)


def _result_options(options: argparse.Namespace) -> ResultOptions:
    destination: DicomPeer | DicomWebPeer | None = None
    if options.to is not None and re.match("https?://", options.to):
        destination = DicomWebPeer(options.to, _secret(options.token, "--token") if options.token else None)
    elif options.to is not None:
        destination = dicom_peer(options, options.to, title=None, tls=options.to_tls)
    choice = FrameChoice(Selection(options.every, options.limit, options.fps), options.best)
    return ResultOptions(destination, options.results, options.overlays, choice, options.give_up * 3600.0)


def _study_options(options: argparse.Namespace, settings: Settings) -> StudyOptions:
    webhook = None
    if options.webhook is not None:
        if not re.match("https?://", options.webhook):
            raise CommandError(f"{options.webhook} is not an HTTP address")
        if options.webhook_secret is None:
            raise CommandError("--webhook needs --webhook-secret: the receiver must know who sends")
        webhook = Webhook(options.webhook, _secret(options.webhook_secret, "--webhook-secret"))
    folder = options.exams.resolve() if options.exams else None
    return StudyOptions(float(options.study_idle), folder, webhook, max_frames=settings.max_batch_frames)


def dicom_peer(options: argparse.Namespace, text: str, *, title: str | None, tls: bool) -> DicomPeer:
    """Return the application that a text names, with a title where it names none; raises `CommandError`."""
    found = _PEER.fullmatch(text)
    title = (found["title"] if found else None) or title
    if found is None or title is None or not 0 < int(found["port"]) < 65536 or not _is_title(title):
        raise CommandError(f"{text} is not of the form TITLE@HOST:PORT")
    files = TlsFiles(options.tls_cert, options.tls_key, options.to_ca or options.tls_ca) if tls else None
    return DicomPeer(title, found["host"].strip("[]"), int(found["port"]), files)


def _is_title(text: str) -> bool:
    """Return whether a text is an AE title (PS3.5, 6.2)."""
    return text.isascii() and text.isprintable() and "\\" not in text and 0 < len(text.strip()) <= 16


def _networks(host: str) -> list[IPv4Network | IPv6Network]:
    """Return the network of an address or a network, or the addresses of a name."""
    with suppress(ValueError):
        return [ip_network(host, strict=False)]
    try:
        return [ip_network(found[4][0]) for found in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)]
    except OSError as error:
        raise CommandError(f"--allow-host: the name {host} is unknown") from error


def _secret(variable: str, option: str) -> str:
    secret = read_secret(variable)
    if secret is None:
        raise CommandError(f"the variable {variable}, which {option} names, is not set")
    return secret
