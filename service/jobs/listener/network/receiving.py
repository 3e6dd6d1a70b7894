"""Receive the objects of one association: each data set goes to the spool as it arrives, never into memory."""

import io
import logging
from dataclasses import dataclass, field
from time import monotonic

from pydicom.dataset import Dataset
from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_messages import C_STORE_RQ
from pynetdicom.events import Event
from pynetdicom.pdu_primitives import P_DATA

from service.imaging.dicom.header import SECONDARY_CAPTURE, TRANSFER_SYNTAXES, ULTRASOUND
from service.jobs.listener.incoming import Identity, Incoming
from service.jobs.listener.options import NetworkLimits
from service.jobs.listener.spool import Spool
from service.observability.listener_metrics import AssociationEnd, ObjectResult

_LOG = logging.getLogger("fetal_planes.listener")

# PS3.4, B.2.3 and PS3.7, C.5: each with the comment that a scanner may show or log.
_STATUS: dict[ObjectResult, tuple[int, str]] = {
    "stored": (0x0000, ""),
    "duplicate": (0x0000, ""),
    "skipped": (0x0000, ""),
    "conflict": (0xC001, "Another object has this SOP Instance UID"),
    "full": (0xA700, "The spool is full: try again later"),
    "too-large": (0xC002, "The object is longer than the limit"),
    "failed": (0xC003, "The object cannot be taken"),
}
_INVALID_PDU = "Evt19"  # PS3.8, 9.2.2: it aborts the association
_MAX_COMMAND = 64 * 1024
_MAX_WAITING = 16


@dataclass(slots=True)
class Session:
    """What happened in one association, for its log line."""

    host: str
    calling: str = ""
    started: float = field(default_factory=monotonic)
    counts: dict[ObjectResult, int] = field(default_factory=dict)
    size: int = 0
    ended: AssociationEnd = "closed"

    def add(self, result: ObjectResult, size: int) -> None:
        """Count an object."""
        self.counts[result] = self.counts.get(result, 0) + 1
        self.size += size


def is_read(sop_class: str, transfer_syntax: str) -> bool:
    """Return whether an object of this kind may hold frames that the service reads; others are skipped."""
    return (sop_class in ULTRASOUND or sop_class in SECONDARY_CAPTURE) and transfer_syntax in TRANSFER_SYNTAXES


class SpooledDataSet(io.BytesIO):
    """What pynetdicom takes for the data set of a request: empty, with the file that has it; None where it is skipped.

    It goes from the fragments to the handler of the request, so no request can meet the file of another one.
    """

    def __init__(self, incoming: Incoming | None) -> None:
        super().__init__()
        self.incoming = incoming


class SpoolingDimse(DIMSEServiceProvider):
    """Takes the fragments of data sets out of the messages, which pynetdicom would collect in memory."""

    def __init__(self, assoc: Association, spool: Spool, limits: NetworkLimits) -> None:
        super().__init__(assoc)
        self.session = Session("")
        self.spool = spool
        self._limits = limits
        self._command_bytes = 0
        self._files: list[Incoming] = []  # of requests that nobody has answered

    def receive_primitive(self, primitive: P_DATA) -> None:
        """Take a PDU of fragments; whatever is wrong with them aborts the association."""
        try:
            for context, data in primitive.presentation_data_value_list:
                self._receive(context, data)
        except Exception as error:  # only the type: the text may quote a value
            _LOG.warning("a message is malformed", extra={"exception": type(error).__qualname__})
            self.dul.event_queue.put(_INVALID_PDU)

    def answered(self, incoming: Incoming) -> None:
        """Note that a request has its answer."""
        self._files.remove(incoming)

    def discard(self) -> None:
        """Delete what arrived and was not answered."""
        for each in self._files:
            each.discard()
        self._files.clear()

    def _receive(self, context: int, data: bytes) -> None:
        """Take one fragment; its first byte is the message control header (PS3.8, E.2)."""
        if data[0] & 1:  # of a command
            self._command_bytes += len(data)
            # No peer has negotiated more than one request at a time, and no command is longer than a few UIDs.
            if self._command_bytes > _MAX_COMMAND or self.msg_queue.qsize() > _MAX_WAITING:
                raise ValueError("too many commands")
            if data[0] & 2:  # its last fragment
                self._command_bytes = 0
        else:
            data = self._keep(context, data)
        fragment = P_DATA()
        fragment.presentation_data_value_list.append((context, data))
        super().receive_primitive(fragment)

    def _keep(self, context: int, data: bytes) -> bytes:
        """Write a fragment of a data set; return what pynetdicom still needs of it."""
        message = self.message
        if not isinstance(message, C_STORE_RQ):
            raise TypeError("a data set that no request announces")
        if not isinstance(message.data_set, SpooledDataSet):
            message.data_set = SpooledDataSet(self._begin(message, context))
        if message.data_set.incoming is not None:
            message.data_set.incoming.write(data[1:])
        return data[:1]

    def _begin(self, message: C_STORE_RQ, context: int) -> Incoming | None:
        command = message.command_set
        transfer_syntax = str(self._transfer_syntax(context))
        identity = Identity(str(command.AffectedSOPClassUID), str(command.AffectedSOPInstanceUID), transfer_syntax)
        if not is_read(identity.sop_class, transfer_syntax):
            return None
        if len(self._files) > _MAX_WAITING:
            raise ValueError("requests that wait for no reply")
        incoming = self.spool.begin(identity, self._limits.object_bytes)
        self._files.append(incoming)
        return incoming

    def _transfer_syntax(self, context: int) -> str:
        for agreed in self.assoc.accepted_contexts:
            if agreed.context_id == context:
                return str(agreed.transfer_syntax[0])
        raise ValueError("a presentation context that was not accepted")


def store(event: Event) -> Dataset:
    """Answer a C-STORE request: put its object into the spool, then acknowledge it."""
    dimse, data_set = event.assoc.dimse, getattr(event.request, "DataSet", None)
    if not isinstance(dimse, SpoolingDimse) or not isinstance(data_set, SpooledDataSet):
        raise TypeError("the request did not come through the spool")
    incoming = data_set.incoming
    result: ObjectResult = "skipped"
    if incoming is not None:
        try:
            result = dimse.spool.accept(incoming)
        except Exception as error:
            _LOG.error("an object cannot be taken", extra={"exception": type(error).__qualname__})
            result = "failed"
        dimse.answered(incoming)
        if result == "conflict":
            name = dimse.spool.hash(incoming.identity.instance)
            _LOG.warning("other bytes came under a known UID", extra={"object": name})
    dimse.session.add(result, incoming.size if incoming else 0)
    status = Dataset()
    status.Status, comment = _STATUS[result]
    if comment:
        status.ErrorComment = comment
    return status
