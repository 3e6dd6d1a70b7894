"""Check the connection with a scanner in both directions, and say in words what is wrong."""

import socket
import threading
from collections.abc import Callable
from typing import NamedTuple

from pynetdicom import evt
from pynetdicom.events import Event
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from service.jobs import JobError
from service.jobs.listener.network.senders import associate, describe_failure, new_ae
from service.jobs.listener.network.sockets import plain_address
from service.jobs.listener.options import DicomPeer, ServerOptions

_CONNECT_S = 10.0
_DOCUMENTATION_PORT = 9  # "discard": nothing is sent to find the own address


class Found(NamedTuple):
    """What one direction came to, as a sentence."""

    works: bool
    words: str


def check_scanner(scanner: DicomPeer, options: ServerOptions, wait_s: float, show: Callable[[str], None]) -> bool:
    """Echo to a scanner, then wait for its echo; show what to type into it; return whether both ways work."""
    there = echo(scanner, options.ae_title)
    show(f"To the scanner: {there.words}")
    show("Type into the scanner's network menu, as a destination for images (C-STORE):")
    show(f"  AE title  {options.ae_title}")
    show(f"  Host      {_own_address(scanner.host, options.host)}")
    show(f"  Port      {options.port}")
    show(f"  TLS       {'on' if options.tls.certificate else 'off'}")
    back = _await_echo(options, wait_s, show)
    show(f"From the scanner: {back.words}")
    return there.works and back.works


def echo(peer: DicomPeer, calling: str) -> Found:
    """Send a C-ECHO; say what came of it."""
    place = f"{peer.host}:{peer.port}"
    if (trouble := _probe(peer)) is not None:
        return Found(False, trouble)
    ae = new_ae(calling)
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = ae.connection_timeout = _CONNECT_S
    ae.add_requested_context(Verification)
    association = associate(ae, peer)
    if not association.is_established:
        return Found(False, _explain(describe_failure(association), peer, calling))
    try:
        status = association.send_c_echo().get("Status")
    finally:
        association.release()
    if status != 0:
        return Found(False, f"{place} accepts the association, but does not answer C-ECHO.")
    return Found(True, f"{place} answers C-ECHO as {peer.ae_title}.")


def _probe(peer: DicomPeer) -> str | None:
    """Return what keeps a connection from being made, as a sentence; None if one can be made."""
    place = f"{peer.host}:{peer.port}"
    try:
        socket.create_connection((peer.host, peer.port), _CONNECT_S).close()
    except socket.gaierror:
        return f"The name {peer.host} is unknown. Check its spelling, or use the IP address."
    except ConnectionRefusedError:
        return f"{place} refuses the connection: nothing listens on this port, or a firewall rejects it."
    except TimeoutError:
        return f"{place} does not answer: a firewall drops the connection, the host is off, or the address is wrong."
    except OSError as error:
        return f"{place} cannot be reached: {error.strerror}."
    return None


def _explain(failure: str, peer: DicomPeer, calling: str) -> str:
    if "other AE title" in failure:
        return f"The scanner has another AE title than {peer.ae_title}: write --check TITLE@{peer.host}:{peer.port}."
    if "calling AE title" in failure:
        return f"The scanner does not know the AE title {calling}: add it to the scanner's list of DICOM nodes."
    if peer.tls is not None:
        return f"The connection is made, but {failure}: perhaps the scanner does not speak TLS, or trusts another CA."
    return f"The connection is made, but {failure}: perhaps the scanner expects TLS, or another protocol listens there."


def _await_echo(options: ServerOptions, wait_s: float, show: Callable[[str], None]) -> Found:
    """Listen as the listener would, and wait for an echo; ask a listener that runs already instead."""
    echoed = threading.Event()
    seen: list[str] = []

    def note(event: Event) -> int:
        seen.append(str(plain_address(event.assoc.requestor.address)))
        echoed.set()
        return 0x0000

    ae = new_ae(options.ae_title)
    ae.require_called_aet = True
    wrong: list[str] = []
    handlers: list[evt.EventHandlerType] = [
        (evt.EVT_C_ECHO, note),
        (evt.EVT_REJECTED, lambda event: wrong.append(str(event.assoc.requestor.primitive.called_ae_title))),
    ]
    ae.add_supported_context(Verification)
    try:
        tls = options.tls.server_context()
        server = ae.start_server((options.host, options.port), block=False, ssl_context=tls, evt_handlers=handlers)
    except OSError:
        return _ask_running(options)
    if server is None:
        raise JobError("the check cannot listen")
    try:
        show(f"Now press Verify (Echo, Ping) for this destination on the scanner, within {wait_s:g} s.")
        echoed.wait(wait_s)
    finally:
        server.shutdown()
    if seen:
        return Found(True, f"an echo came from {seen[0]}.")
    if wrong:
        return Found(False, f"it asked for another AE title; type {options.ae_title} into the scanner.")
    return Found(
        False,
        f"no echo came within {wait_s:g} s. Check host and port in the scanner, and that the firewall of this machine "
        f"allows TCP port {options.port}.",
    )


def _ask_running(options: ServerOptions) -> Found:
    local = "127.0.0.1" if options.host in ("0.0.0.0", "::", "") else options.host  # noqa: S104 (compared only)
    found = echo(DicomPeer(options.ae_title, local, options.port, None), options.ae_title)
    if found.works:
        return Found(True, "a listener already runs here and answers; press Verify on the scanner and see its log.")
    return Found(False, f"port {options.port} is in use by another program, or by a listener with another AE title.")


def _own_address(peer: str, host: str) -> str:
    """Return the address of this machine that a peer uses."""
    if host not in ("0.0.0.0", "::", ""):  # noqa: S104 (compared only)
        return host
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect((peer, _DOCUMENTATION_PORT))  # a datagram socket sends nothing here
            return str(probe.getsockname()[0])
    except OSError:
        return "the IP address of this machine"
