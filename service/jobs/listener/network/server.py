"""The server for scanners: C-ECHO and C-STORE SCP, with limits, and one log line for each association."""

import logging
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from ipaddress import IPv4Network, IPv6Network
from queue import Empty
from socketserver import BaseServer
from typing import TYPE_CHECKING, cast

from pynetdicom import AE, _config, evt
from pynetdicom.association import Association
from pynetdicom.events import Event
from pynetdicom.fsm import StateMachine
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]
from pynetdicom.transport import RequestHandler, ThreadedAssociationServer

from service.imaging.dicom.header import TRANSFER_SYNTAXES
from service.jobs import JobError
from service.jobs.listener.incoming import IMPLEMENTATION_NAME, IMPLEMENTATION_UID
from service.jobs.listener.network.receiving import Session, SpoolingDimse, store
from service.jobs.listener.network.sockets import BoundedSocket, ConnectionRate, handshake, plain_address
from service.jobs.listener.options import NetworkLimits, ServerOptions
from service.jobs.listener.spool import Spool
from service.observability.listener_metrics import AssociationEnd

if TYPE_CHECKING:
    from pynetdicom.pdu_primitives import A_ASSOCIATE

_LOG = logging.getLogger("fetal_planes.listener")
_POLL_S = 0.1  # how soon `stop`, and the end of a connection without an association, are noticed
_CLOSING = ("Sta1", "Sta13")  # PS3.8, table 9-10: no association; it waits for the end of the connection
_PRIMITIVES = (
    "Evt7",
    "Evt8",
    "Evt9",
    "Evt11",
    "Evt14",
    "Evt15",
)  # of the service: accept, reject, data, release, abort
_MORE_CONNECTIONS = 8  # than associations: to reject an association takes a connection

OnEnd = Callable[[Session], None]


class ClosingStateMachine(StateMachine):
    """Drops what the service still wants to send while a connection closes, as after a broken PDU.

    PS3.8, 9.2.3 has no action for it: pynetdicom's thread would end with an exception.
    """

    def do_action(self, event: str) -> None:
        """Act on an event."""
        if self.current_state in _CLOSING and event in _PRIMITIVES:
            with suppress(Empty):  # pynetdicom may have made several events of it
                self.dul.to_provider_queue.get_nowait()
            return
        super().do_action(event)


class _Handler(RequestHandler):
    """Makes the association of a connection, with a bounded socket and the spool."""

    server: "_Server"

    def handle(self) -> None:
        """Serve the association to its end, in the thread of its connection."""
        association = self._create_association()
        association.dul.event_queue.get_nowait()  # of the socket that is replaced: it is open
        connection = BoundedSocket(association, self.request, self.server.limits)
        association.dul.socket = connection
        association.dul.state_machine = ClosingStateMachine(association.dul)
        dimse = SpoolingDimse(association, self.server.spool, self.server.limits)
        association.dimse = dimse
        session = dimse.session = Session(str(plain_address(self.client_address[0])))
        try:
            association.start()
            while association.is_alive():
                association.join(_POLL_S)
                if association.dul.ident and not association.dul.is_alive() and not association.requestor.primitive:
                    # pynetdicom would wait for the request of a peer that has left, or that is not one.
                    association.dul.to_user_queue.put(cast("A_ASSOCIATE", None))
        finally:
            connection.close()  # pynetdicom leaves it open where its own thread fails
            dimse.discard()
        session.calling = str(association.requestor.ae_title or "").strip()
        session.ended = _ending(association)
        self.server.on_end(session)


def _ending(association: Association) -> AssociationEnd:
    if association.is_rejected:
        return "rejected"
    if association.is_released:
        return "released"
    return "aborted" if association.is_aborted else "closed"


class _Server(ThreadedAssociationServer):
    """Accepts connections of allowed hosts; a TLS handshake keeps nobody else waiting."""

    spool: Spool
    limits: NetworkLimits
    networks: tuple[IPv4Network | IPv6Network, ...]
    rate: ConnectionRate
    on_end: OnEnd
    daemon_threads = True
    request_queue_size = 64

    def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
        """Accept a connection."""
        if self.socket is None:
            raise OSError("the server is closed")
        return self.socket.accept()

    def verify_request(self, request: object, client_address: tuple[str, int] | str) -> bool:
        """Return whether a connection goes on; others are closed and counted."""
        host = plain_address(client_address[0])
        if self.networks and not any(host in network for network in self.networks):
            reason = "its host is not allowed"
        elif not self.rate.admit(str(host)):
            reason = "its host connects too often"
        elif len(self.active_associations) >= self.limits.associations + _MORE_CONNECTIONS:
            reason = "too many connections"
        else:
            return True
        _LOG.warning("a connection is refused", extra={"host": str(host), "reason": reason})
        self.on_end(Session(str(host), ended="refused"))
        return False

    def service_actions(self) -> None:
        """Leave the collection of garbage to Python, which pynetdicom would start twice a minute."""

    def shutdown(self) -> None:
        """Accept no further connection."""
        BaseServer.shutdown(self)
        self.server_close()

    def finish_request(self, request: object, client_address: tuple[str, int] | str) -> None:
        """Start the association, in a thread of its own."""
        if isinstance(request, socket.socket):
            super().finish_request(handshake(request, self.ssl_context, self.limits.timeout_s), client_address)

    def handle_error(self, request: object, client_address: tuple[str, int] | str) -> None:
        """Log a connection that failed before its association, which is mostly a failed TLS handshake."""
        host = str(plain_address(client_address[0]))
        _LOG.warning("a connection failed", extra={"host": host, "reason": "TLS handshake" if self.ssl_context else ""})
        self.on_end(Session(host, ended="refused"))


class DicomServer:
    """Receives objects into a spool, from `start` to `stop`.

    `on_end` is called at the end of each association, in its thread.
    """

    def __init__(self, options: ServerOptions, spool: Spool, on_end: OnEnd) -> None:
        self._options, self._spool, self._on_end = options, spool, on_end
        limits = options.limits
        self._ae = AE(options.ae_title)
        self._ae.implementation_class_uid, self._ae.implementation_version_name = (
            IMPLEMENTATION_UID,
            IMPLEMENTATION_NAME,
        )
        self._ae.maximum_associations, self._ae.maximum_pdu_size = limits.associations, limits.pdu_bytes
        self._ae.acse_timeout = self._ae.network_timeout = self._ae.dimse_timeout = limits.timeout_s
        self._ae.require_called_aet, self._ae.require_calling_aet = True, list(options.access.ae_titles)
        # Storage classes, also private ones, are accepted without a list; see `_prefer_read`.
        self._ae.add_supported_context(Verification)
        self._server: _Server | None = None

    @property
    def port(self) -> int:
        """The port; the system chooses one where the options say 0."""
        return int(self._server.server_address[1]) if self._server else self._options.port

    @property
    def associations(self) -> int:
        """The number of open associations."""
        return len(self._server.active_associations) if self._server else 0

    def start(self) -> None:
        """Listen, in a thread; raises `JobError` if the address cannot be used."""
        if not _config.UNRESTRICTED_STORAGE_SERVICE:
            raise RuntimeError("call `configure_dicom_network` first")
        options = self._options
        handlers: list[evt.EventHandlerType] = [(evt.EVT_REQUESTED, _prefer_read), (evt.EVT_C_STORE, store)]
        try:
            self._server = _Server(
                self._ae, (options.host, options.port), options.ae_title, self._ae.supported_contexts,
                options.tls.server_context(), evt_handlers=handlers, request_handler=_Handler,
            )  # fmt: skip
        except OSError as error:
            raise JobError(f"{options.host}:{options.port} cannot be used: {error.strerror or error}") from error
        self._server.spool, self._server.limits, self._server.on_end = self._spool, options.limits, self._on_end
        self._server.networks = options.access.networks
        self._server.rate = ConnectionRate(options.limits.connections_per_minute)
        threading.Thread(target=self._server.serve_forever, args=(_POLL_S,), name="listen", daemon=True).start()

    def stop(self) -> None:
        """Accept no further connection, and abort the associations."""
        server, self._server = self._server, None
        if server is None:
            return
        server.shutdown()
        for association in server.active_associations:
            association.abort()
            association.join()


def _prefer_read(event: Event) -> None:
    """Put the transfer syntaxes that the service reads before others; pynetdicom accepts the first of each context.

    Among them the sender's order stays: it knows how its objects are stored, so it need not transcode any.
    """
    request = event.assoc.requestor.primitive
    for context in request.presentation_context_definition_list if request is not None else ():
        context.transfer_syntax = sorted(context.transfer_syntax, key=lambda each: each not in TRANSFER_SYNTAXES)
