"""A DICOM listener in this process, a sender like a scanner, and a destination that keeps what it gets."""

import io
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pydicom
from pynetdicom import AE, evt
from pynetdicom.events import Event
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]
from pynetdicom.transport import ThreadedAssociationServer

from bench.servers import free_port
from service.analysis.pipeline import Pipeline
from service.execution.decoders.decoder import Decoder
from service.imaging.frame import Limits
from service.inference.engine import Engine
from service.jobs.listener.listener import Listener
from service.jobs.listener.options import (
    DicomPeer,
    DicomWebPeer,
    ListenerOptions,
    ResultOptions,
    ServerOptions,
    StudyOptions,
)
from tests.support import dicom_objects as dicoms
from tests.support.images import speckle

TITLE = "FETALPLANES"
STUDY = "1.2.3.4"
SR, SC = "1.2.840.10008.5.1.4.1.1.88.33", dicoms.SECONDARY


def instance(number: int, study: str = STUDY) -> str:
    """Return the SOP Instance UID of a numbered still."""
    return f"{study}.7.{number}"


def still(number: int, study: str = STUDY, *, seed: int | None = None) -> bytes:
    """Return a numbered object of a study; another seed gives other bytes under the same UID."""
    frame = speckle(60, 80, seed=number if seed is None else seed)
    return dicoms.native([frame], SOPInstanceUID=instance(number, study), StudyInstanceUID=study)


def send(port: int, objects: Sequence[bytes], *, title: str = TITLE, calling: str = "SCANNER") -> list[int | None]:
    """Send objects in one association; return the status of each, None where it has no answer."""
    sets = [pydicom.dcmread(io.BytesIO(each)) for each in objects]
    ae = AE(calling)
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = 60
    for sop_class, syntax in sorted({(each.SOPClassUID, each.file_meta.TransferSyntaxUID) for each in sets}):
        ae.add_requested_context(sop_class, syntax)
    association = ae.associate("127.0.0.1", port, ae_title=title)
    if not association.is_established:
        return [None] * len(sets)
    statuses = [association.send_c_store(each).get("Status") for each in sets]
    association.release()
    return statuses


def echo(port: int, *, title: str = TITLE, calling: str = "SCANNER") -> bool:
    """Return whether a C-ECHO is answered."""
    ae = AE(calling)
    ae.acse_timeout = ae.dimse_timeout = 60
    ae.add_requested_context(Verification)
    association = ae.associate("127.0.0.1", port, ae_title=title)
    try:
        return association.is_established and association.send_c_echo().get("Status") == 0
    finally:
        if association.is_established:
            association.release()


@dataclass
class Destination:
    """A destination of results; `status` is its answer, and `start` and `stop` may be repeated."""

    port: int = field(default_factory=free_port)
    status: int = 0x0000
    received: list[tuple[str, bytes]] = field(default_factory=list)
    require_title: bool = False
    _server: ThreadedAssociationServer | None = None

    @property
    def peer(self) -> DicomPeer:
        return DicomPeer("ARCHIVE", "127.0.0.1", self.port)

    @property
    def uids(self) -> list[str]:
        return [uid for uid, _ in self.received]

    def start(self) -> None:
        ae = AE("ARCHIVE")
        ae.require_called_aet = self.require_title
        ae.add_supported_context(SR)
        ae.add_supported_context(SC, dicoms.BASELINE)
        self._server = ae.start_server(
            ("127.0.0.1", self.port), block=False, evt_handlers=[(evt.EVT_C_STORE, self._store)]
        )

    def stop(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()

    def _store(self, event: Event) -> int:
        if self.status == 0:
            self.received.append((str(event.request.AffectedSOPInstanceUID), event.encoded_dataset()))  # type: ignore[union-attr]
        return self.status


@contextmanager
def destination() -> Iterator[Destination]:
    """Return a context with a destination that answers."""
    each = Destination()
    each.start()
    try:
        yield each
    finally:
        each.stop()


@dataclass
class Setup:
    """How a listener of a test is set up."""

    engine: Engine
    folder: Path
    results: ResultOptions = field(default_factory=ResultOptions)
    studies: StudyOptions = field(default_factory=StudyOptions)
    server: ServerOptions = field(default_factory=lambda: ServerOptions(TITLE, "127.0.0.1", 0))
    spool_bytes: int = 2**30
    decoder: Decoder | None = None  # None: this process decodes

    def to(self, peer: DicomPeer | DicomWebPeer, **changes: object) -> "Setup":
        """Send results to a peer."""
        self.results = ResultOptions(peer, **changes)  # type: ignore[arg-type]
        return self

    def options(self) -> ListenerOptions:
        return ListenerOptions(self.server, self.folder / "spool", self.spool_bytes, self.results, self.studies, 2)

    @contextmanager
    def running(self) -> Iterator[Listener]:
        """Return a context with the listener."""
        listener = Listener(self.options(), Pipeline(self.engine, Limits(), self.decoder))
        stopped = threading.Event()
        listener.start()
        try:
            yield listener
        finally:
            stopped.set()
            listener.stop()
