"""What the operator chooses: who may send what, where results go, and when a study is complete."""

import ssl
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Literal

from service.jobs import JobError
from service.jobs.runner import FrameChoice
from service.schemas.protocols import Protocol

ResultsPer = Literal["frame", "study"]
_MIB = 2**20


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files for DICOM TLS: own certificate and key, and the authorities that the peer's certificate must have."""

    certificate: Path | None = None
    key: Path | None = None
    authorities: Path | None = None

    def server_context(self) -> ssl.SSLContext | None:
        """Return the context of a server, None without a certificate; with authorities, clients must have one, too."""
        if self.certificate is None:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2  # PS3.15, B.12: the BCP 195 profiles
        self._load(context)
        if self.authorities is not None:
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def client_context(self) -> ssl.SSLContext:
        """Return the context of a client, which checks the server's name; without authorities, by the system's."""
        context = ssl.create_default_context()
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._load(context)
        return context

    def _load(self, context: ssl.SSLContext) -> None:
        try:
            if self.certificate is not None:
                context.load_cert_chain(self.certificate, self.key)
            if self.authorities is not None:
                context.load_verify_locations(self.authorities)
        except OSError as error:  # also an `ssl.SSLError`
            raise JobError(f"the TLS files cannot be used: {error.strerror or type(error).__name__}") from error


@dataclass(frozen=True, slots=True)
class NetworkLimits:
    """What one peer, and all of them together, may take.

    Attributes
    ----------
    associations
        Open at the same time; a further one is rejected for now.
    pdu_bytes
        Longest PDU that is read.
    object_bytes
        Longest data set; a longer one is read to its end and refused.
    bytes_per_s
        Of one association; a faster sender is slowed down.
    connections_per_minute
        Of one host; further ones are closed.
    timeout_s
        Seconds without a complete PDU after which an association ends.
    """

    associations: int = 16
    pdu_bytes: int = 256 * 1024
    object_bytes: int = 1024 * _MIB
    bytes_per_s: int = 100 * _MIB
    connections_per_minute: int = 600
    timeout_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Access:
    """Who may send: empty means everybody."""

    ae_titles: tuple[str, ...] = ()
    networks: tuple[IPv4Network | IPv6Network, ...] = ()


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """Where the listener listens, as whom, and for whom."""

    ae_title: str
    host: str
    port: int
    tls: TlsFiles = field(default_factory=TlsFiles)
    access: Access = field(default_factory=Access)
    limits: NetworkLimits = field(default_factory=NetworkLimits)


@dataclass(frozen=True, slots=True)
class DicomPeer:
    """A DICOM application to send to."""

    ae_title: str
    host: str
    port: int
    tls: TlsFiles | None = None  # None: without TLS


@dataclass(frozen=True, slots=True)
class DicomWebPeer:
    """A DICOMweb archive to store in."""

    url: str
    token: str | None = None


@dataclass(frozen=True, slots=True)
class Webhook:
    """Where to announce a complete study, and the secret that signs the announcement."""

    url: str
    secret: str


@dataclass(frozen=True, slots=True)
class ResultOptions:
    """Which results there are, and where they go.

    Attributes
    ----------
    destination
        Where DICOM results go; None: nowhere, in particular never back to the sender.
    per
        A structured report for each frame, or one for each study.
    overlays
        Whether each frame also has a Secondary Capture.
    choice
        Which frames of a loop have results.
    give_up_s
        Seconds after which a result that cannot be delivered is a dead letter.
    """

    destination: DicomPeer | DicomWebPeer | None = None
    per: ResultsPer = "frame"
    overlays: bool = False
    choice: FrameChoice = field(default_factory=FrameChoice)
    give_up_s: float = 86_400.0


@dataclass(frozen=True, slots=True)
class StudyOptions:
    """When a study is complete, and what happens then.

    Attributes
    ----------
    idle_s
        Seconds without a new object after which a study is complete.
    folder
        Where exams are written, as JSON and HTML; None: nowhere.
    webhook
        Receives the exam as JSON.
    protocol
        What an exam should hold; None: every plane of the model.
    max_frames
        Frames after which an exam ends, complete or not.
    """

    idle_s: float = 120.0
    folder: Path | None = None
    webhook: Webhook | None = None
    protocol: Protocol | None = None
    max_frames: int = 20_000

    @property
    def wants_exam(self) -> bool:
        """Whether anything needs the exam of a study."""
        return self.folder is not None or self.webhook is not None


@dataclass(frozen=True, slots=True)
class ListenerOptions:
    """Everything that the command line says."""

    server: ServerOptions
    spool: Path
    spool_bytes: int
    results: ResultOptions
    studies: StudyOptions
    threads: int

    @property
    def keeps_studies(self) -> bool:
        """Whether objects stay in the spool until their study is complete."""
        return self.studies.wants_exam or (self.results.per == "study" and self.results.destination is not None)
