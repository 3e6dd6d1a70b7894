"""Send results: by C-STORE to a DICOM application, by STOW-RS to an archive, and the exam to a webhook."""

import hashlib
import hmac
import io
import logging
from collections.abc import Iterator, Sequence
from time import time
from typing import Literal, NamedTuple, Protocol

import httpx2
import pydicom
from pydicom.uid import UID, ExplicitVRLittleEndian
from pynetdicom import AE
from pynetdicom.association import Association

from service.jobs import JobError, StoreError, StoreRefused
from service.jobs.dicomweb import DicomWebArchive
from service.jobs.listener.incoming import IMPLEMENTATION_NAME, IMPLEMENTATION_UID
from service.jobs.listener.options import DicomPeer, DicomWebPeer, Webhook
from service.reports.dicom import DicomObject

_TIMEOUT_S = 30.0
_HAS_IT = 0x0111  # Duplicate SOP Instance (PS3.7, C.5.3)
_NO_RESOURCES = range(0xA700, 0xA800)  # PS3.4, B.2.3
_WARNINGS = range(0xB000, 0xC000)
_REPORT = UID("1.2.840.10008.5.1.4.1.1.88.33")  # Comprehensive SR
_CAPTURE = UID("1.2.840.10008.5.1.4.1.1.7")  # Secondary Capture
_BASELINE = UID("1.2.840.10008.1.2.4.50")
_REFUSALS = {400, 409, 410, 413, 415, 422}  # of a message; other statuses may change with the receiver's configuration


class Attempt(NamedTuple):
    """How an attempt to deliver a result ended; the reason is a clause without a value of the result."""

    end: Literal["delivered", "refused", "unreachable"]
    reason: str = ""


_DELIVERED = Attempt("delivered")


class Sender(Protocol):
    """Sends results to one destination."""

    def send(self, results: Sequence[tuple[str, bytes]]) -> Iterator[Attempt]:
        """Yield how each result, of a name and contents, ended; fewer where the destination is not to be reached."""


class DimseSender:
    """Sends DICOM objects by C-STORE, all of one call in one association."""

    def __init__(self, peer: DicomPeer, calling: str) -> None:
        self._peer = peer
        self._ae = new_ae(calling)
        self._ae.add_requested_context(_REPORT, ExplicitVRLittleEndian)
        self._ae.add_requested_context(_CAPTURE, _BASELINE)

    def send(self, results: Sequence[tuple[str, bytes]]) -> Iterator[Attempt]:
        """Yield how each object ended."""
        association = associate(self._ae, self._peer)
        if not association.is_established:
            yield Attempt("unreachable", describe_failure(association))
            return
        try:
            for _, contents in results:
                attempt = _store(association, contents)
                yield attempt
                if not association.is_established:
                    return
        finally:
            if association.is_established:
                association.release()


def new_ae(calling: str) -> AE:
    """Return an application that sends as `calling`."""
    ae = AE(calling)
    ae.implementation_class_uid, ae.implementation_version_name = IMPLEMENTATION_UID, IMPLEMENTATION_NAME
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = ae.connection_timeout = _TIMEOUT_S
    return ae


def associate(ae: AE, peer: DicomPeer) -> Association:
    """Return an association with a peer, established or not; raises `JobError` if its TLS files cannot be used."""
    tls = None if peer.tls is None else (peer.tls.client_context(), peer.host)
    return ae.associate(peer.host, peer.port, ae_title=peer.ae_title, tls_args=tls)


def describe_failure(association: Association) -> str:
    """Return why an association was not established, as a clause."""
    if not association.is_rejected:
        return "the connection failed" if not association.is_aborted else "the association was aborted"
    answer = association.acceptor.primitive
    reasons: dict[tuple[int | None, int | None], str] = {
        (1, 3): "it does not know the calling AE title",
        (1, 7): "it has another AE title",
    }
    known = None if answer is None else reasons.get((answer.result_source, answer.diagnostic))
    return f"the association was rejected: {known or 'it gives no reason that helps'}"


def _store(association: Association, contents: bytes) -> Attempt:
    try:
        status = association.send_c_store(pydicom.dcmread(io.BytesIO(contents))).get("Status")
    except ValueError:  # the context was not accepted
        return Attempt("refused", "the destination does not accept this kind of object")
    except RuntimeError:
        return Attempt("unreachable", "the association ended")
    if status is None:
        return Attempt("unreachable", "the association ended")
    if status in (0, _HAS_IT) or status in _WARNINGS:
        return _DELIVERED
    return Attempt("unreachable" if status in _NO_RESOURCES else "refused", f"the destination answered 0x{status:04X}")


class WebSender:
    """Stores DICOM objects in a DICOMweb archive."""

    def __init__(self, peer: DicomWebPeer) -> None:
        self._archive = DicomWebArchive(peer.url, peer.token)

    def send(self, results: Sequence[tuple[str, bytes]]) -> Iterator[Attempt]:
        """Yield how each object ended."""
        for name, contents in results:
            try:
                self._archive.store(DicomObject(name, contents))
                yield _DELIVERED
            except StoreRefused as error:
                yield Attempt("refused", str(error))
            except StoreError as error:
                yield Attempt("unreachable", str(error))
                return


class WebhookSender:
    """Posts messages, signed so that the receiver knows their sender and their age."""

    def __init__(self, webhook: Webhook) -> None:
        self._webhook = webhook
        logging.getLogger("httpx2").setLevel(logging.WARNING)  # it logs each address

    def send(self, results: Sequence[tuple[str, bytes]]) -> Iterator[Attempt]:
        """Yield how each message ended."""
        with httpx2.Client(timeout=_TIMEOUT_S, follow_redirects=False) as client:
            for name, contents in results:
                headers = {"Content-Type": "application/json", "X-Fetal-Planes-Delivery": name.partition(".")[0]}
                headers |= signature(self._webhook.secret, contents, round(time()))
                try:
                    status = client.post(self._webhook.url, content=contents, headers=headers).status_code
                except httpx2.HTTPError as error:
                    yield Attempt("unreachable", f"the webhook does not answer: {type(error).__name__}")
                    return
                if 200 <= status < 300:
                    yield _DELIVERED
                elif status in _REFUSALS:
                    yield Attempt("refused", f"the webhook answered {status}")
                else:
                    yield Attempt("unreachable", f"the webhook answered {status}")
                    return


def signature(secret: str, contents: bytes, timestamp: int) -> dict[str, str]:
    """Return the headers that sign a message: its time in seconds since 1970, and an HMAC-SHA256 of time and body."""
    signed = hmac.new(secret.encode(), f"{timestamp}.".encode() + contents, hashlib.sha256).hexdigest()
    return {"X-Fetal-Planes-Timestamp": str(timestamp), "X-Fetal-Planes-Signature": f"sha256={signed}"}


def open_sender(destination: DicomPeer | DicomWebPeer, calling: str) -> Sender:
    """Return the sender of DICOM results; raises `JobError` if the destination cannot be used."""
    if isinstance(destination, DicomWebPeer):
        return WebSender(destination)
    if destination.tls is not None:
        destination.tls.client_context()  # report wrong files at the start
    try:
        return DimseSender(destination, calling)
    except ValueError as error:
        raise JobError(f"{destination.ae_title} is not an AE title") from error
