"""What scanners may send, and the answers that they get."""

import logging
import queue
import socket
import ssl
import subprocess
import threading
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from pynetdicom import AE
from pynetdicom.fsm import InvalidEventError
from pynetdicom.presentation import build_context

from service.imaging.dicom.header import SECONDARY_CAPTURE, TRANSFER_SYNTAXES, ULTRASOUND
from service.jobs.listener.network.server import ClosingStateMachine
from service.jobs.listener.options import Access, NetworkLimits, ServerOptions, TlsFiles
from tests.support import dicom_objects as dicoms
from tests.support.dicom_checks import COMPRESSED
from tests.support.images import speckle
from tests.support.listener import TITLE, Setup, echo, instance, send, still
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from pynetdicom.dul import DULServiceProvider

HTJ2K = "1.2.840.10008.1.2.4.201"


def limited(setup: Setup, **limits: Any) -> Setup:
    setup.server = replace(setup.server, limits=NetworkLimits(**limits))
    return setup


def stored(setup: Setup) -> list[Path]:
    return sorted((setup.folder / "spool" / "objects").iterdir())


def lines(caplog: pytest.LogCaptureFixture, message: str) -> list[dict[str, Any]]:
    return [vars(record) for record in caplog.records if record.getMessage() == message]


def test_an_echo_is_answered_under_the_own_title_only(setup: Setup) -> None:
    with setup.running() as listener:
        assert echo(listener.server.port)
        assert not echo(listener.server.port, title="OTHER")


@pytest.mark.parametrize("case", COMPRESSED, ids=lambda case: case[0])
def test_objects_arrive_in_every_transfer_syntax_byte_for_byte(setup: Setup, case: tuple[Any, ...]) -> None:
    _, syntax, frame, encode, photometric, _ = case
    sent = dicoms.compressed([frame], syntax, encode, photometric)
    with setup.running() as listener:
        assert send(listener.server.port, [sent]) == [0]
        (path,) = stored(setup)
        assert path.read_bytes().endswith(sent[-frame.size // 20 :])


@pytest.mark.parametrize("syntax", [dicoms.IMPLICIT, dicoms.EXPLICIT, dicoms.BIG, dicoms.DEFLATED])
def test_objects_arrive_uncompressed(setup: Setup, syntax: str) -> None:
    with setup.running() as listener:
        assert send(listener.server.port, [dicoms.native([speckle(60, 80)], syntax)]) == [0]
        assert len(stored(setup)) == 1


def negotiated(port: int, contexts: list[tuple[str, list[str]]]) -> list[str | None]:
    """The transfer syntax that the listener chooses for each context."""
    ae = AE("SCANNER")
    ae.requested_contexts = [build_context(abstract, syntaxes) for abstract, syntaxes in contexts]
    association = ae.associate("127.0.0.1", port, ae_title=TITLE)
    assert association.is_established
    chosen = {each.context_id: str(each.transfer_syntax[0]) for each in association.accepted_contexts}
    association.release()
    return [chosen.get(2 * number + 1) for number in range(len(contexts))]


def test_the_sender_s_first_readable_transfer_syntax_is_chosen(setup: Setup) -> None:
    wanted: list[tuple[str, list[str]]] = [
        (dicoms.US, [dicoms.BASELINE, dicoms.IMPLICIT]),
        (dicoms.US, [dicoms.IMPLICIT, dicoms.BASELINE]),
        (dicoms.US_MULTI, [HTJ2K, dicoms.RLE, dicoms.IMPLICIT]),
        (dicoms.US_MULTI, [HTJ2K]),  # accepted and skipped: a refusal would hold up the scanner's queue
        ("1.2.840.10008.5.1.4.1.1.88.33", [dicoms.EXPLICIT]),
        ("1.2.826.0.1.3680043.9.1234.5", [dicoms.IMPLICIT]),  # a private class
        ("1.2.840.10008.3.1.2.3.3", [dicoms.IMPLICIT]),  # not a storage class: MPPS
    ]
    with setup.running() as listener:
        chosen = negotiated(listener.server.port, wanted)
    assert chosen == [
        dicoms.BASELINE, dicoms.IMPLICIT, dicoms.RLE, HTJ2K, dicoms.EXPLICIT, dicoms.IMPLICIT, None
    ]  # fmt: skip


def test_every_kind_that_is_read_is_accepted(setup: Setup) -> None:
    with setup.running() as listener:
        for sop_class in (*ULTRASOUND, *SECONDARY_CAPTURE):
            wanted = [(sop_class, [syntax]) for syntax in TRANSFER_SYNTAXES]
            assert negotiated(listener.server.port, wanted) == list(TRANSFER_SYNTAXES)


def test_other_objects_are_acknowledged_and_skipped(setup: Setup, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    report = dicoms.write(
        dicoms.describe([speckle(60, 80)]), None, dicoms.EXPLICIT, SOPClassUID="1.2.840.10008.5.1.4.1.1.88.33"
    )
    with setup.running() as listener:
        assert send(listener.server.port, [report]) == [0]
        eventually(lambda: bool(lines(caplog, "association")))
        assert not stored(setup)
    (line,) = lines(caplog, "association")
    assert (line["skipped"], line["host"], line["calling"], line["end"]) == (1, "127.0.0.1", "SCANNER", "released")


def test_only_allowed_titles_and_hosts_may_send(setup: Setup) -> None:
    setup.server = replace(setup.server, access=Access(("SCANNER",), (ip_network("127.0.0.0/8"),)))
    with setup.running() as listener:
        assert echo(listener.server.port)
        assert not echo(listener.server.port, calling="OTHER")
    setup.server = replace(setup.server, access=Access((), (ip_network("192.0.2.0/24"),)))
    with setup.running() as listener:
        assert not echo(listener.server.port)


def test_an_object_over_the_limit_is_refused_and_the_next_one_stored(setup: Setup) -> None:
    large = dicoms.native([speckle(400, 500)], SOPInstanceUID="1.2.9")
    with limited(setup, object_bytes=50_000).running() as listener:
        assert send(listener.server.port, [still(1), large, still(2)]) == [0, 0xC002, 0]
        assert len(stored(setup)) == 2


def test_a_full_spool_answers_out_of_resources(setup: Setup) -> None:
    setup.spool_bytes = 12_000
    with setup.running() as listener:
        assert send(listener.server.port, [still(1), still(2), still(3)]) == [0, 0, 0xA700]
        assert len(stored(setup)) == 2
        assert listener.spool.used_bytes <= 12_000


def test_the_same_object_counts_once_and_another_under_its_uid_is_refused(
    setup: Setup, caplog: pytest.LogCaptureFixture
) -> None:
    with setup.running() as listener:
        statuses = send(listener.server.port, [still(1), still(1), still(1, seed=9)])
        assert statuses == [0, 0, 0xC001]
        (path,) = stored(setup)
        assert still(1)[-4800:] == path.read_bytes()[-4800:]
    (line,) = lines(caplog, "other bytes came under a known UID")
    assert line["object"] == path.stem


def test_no_uid_or_patient_value_is_in_names_or_log_lines(setup: Setup, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with setup.running() as listener:
        send(listener.server.port, [still(1), still(1, seed=9)])
        eventually(lambda: bool(lines(caplog, "association")))
        names = " ".join(str(path) for path in (setup.folder / "spool").rglob("*"))
    text = names + " ".join(str(vars(record)) for record in caplog.records)
    assert not [value for value in (*dicoms.PLANTED.values(), instance(1)) if value in text]


def test_the_spool_is_for_its_owner_only(setup: Setup) -> None:
    with setup.running() as listener:
        send(listener.server.port, [still(1)])
        for path in (setup.folder / "spool").rglob("*"):
            if path.name != ".fetal-planes.lock":  # it is empty
                assert path.stat().st_mode & 0o077 == 0, path
        assert (setup.folder / "spool").stat().st_mode & 0o077 == 0


def test_many_associations_are_limited_and_others_go_on(setup: Setup) -> None:
    ae = AE("SCANNER")
    ae.add_requested_context(dicoms.US)
    with limited(setup, associations=3).running() as listener:
        opened = [ae.associate("127.0.0.1", listener.server.port, ae_title=TITLE) for _ in range(4)]
        assert [each.is_established for each in opened] == [True, True, True, False]
        opened[0].release()
        eventually(lambda: echo(listener.server.port))
        for each in opened[1:3]:
            each.release()


def test_a_host_that_connects_too_often_waits(setup: Setup) -> None:
    with limited(setup, connections_per_minute=3).running() as listener:
        assert [echo(listener.server.port) for _ in range(4)] == [True, True, True, False]


@pytest.mark.parametrize("start", [b"", b"\x01\x00", b"\x01\x00\x00\x00\x00\x44" + bytes(10)])
def test_a_silent_peer_is_disconnected(setup: Setup, start: bytes) -> None:
    with limited(setup, timeout_s=0.5).running() as listener:
        with socket.create_connection(("127.0.0.1", listener.server.port)) as peer:
            peer.sendall(start)
            peer.settimeout(60)
            while peer.recv(1000):
                pass
        eventually(lambda: listener.server.associations == 0)
        assert echo(listener.server.port)


def test_a_pdu_over_the_limit_ends_the_connection(setup: Setup) -> None:
    with limited(setup, pdu_bytes=16 * 1024).running() as listener:
        with socket.create_connection(("127.0.0.1", listener.server.port)) as peer:
            peer.sendall(b"\x01\x00" + (2**31).to_bytes(4, "big"))
            peer.settimeout(60)
            assert peer.recv(1000) == b""
        eventually(lambda: listener.server.associations == 0)


@pytest.mark.parametrize("state", ["Sta1", "Sta13"])
def test_what_comes_too_late_for_a_closing_connection_is_dropped(state: str) -> None:
    waiting: queue.Queue[object] = queue.Queue()
    waiting.put("the answer to a request whose sender broke the protocol meanwhile")
    machine = ClosingStateMachine(cast("DULServiceProvider", SimpleNamespace(to_provider_queue=waiting)))
    machine.current_state = state
    for _ in range(2):  # pynetdicom makes an event of it each time that it looks, until it is taken
        machine.do_action("Evt7")
    assert waiting.empty()
    with pytest.raises(InvalidEventError):
        machine.do_action("Evt2")  # the network's event


def test_a_peer_that_leaves_holds_nothing(setup: Setup) -> None:
    with setup.running() as listener:
        socket.create_connection(("127.0.0.1", listener.server.port)).close()
        eventually(lambda: listener.server.associations == 0, 20)  # the timeout is 30 s


def certificate(folder: Path, name: str) -> TlsFiles:
    """A self-signed certificate, which is its own authority."""
    cert, key = folder / f"{name}.crt", folder / f"{name}.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", f"/CN={name}", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
         "-keyout", str(key), "-out", str(cert)],
        check=True, capture_output=True,
    )  # fmt: skip
    return TlsFiles(cert, key, cert)


def tls_echo(port: int, context: ssl.SSLContext) -> bool:
    ae = AE("SCANNER")
    ae.add_requested_context("1.2.840.10008.1.1")
    ae.acse_timeout = ae.network_timeout = 20
    association = ae.associate("127.0.0.1", port, ae_title=TITLE, tls_args=(context, "localhost"))
    try:
        return association.is_established and association.send_c_echo().get("Status") == 0
    finally:
        if association.is_established:
            association.release()


def test_tls_needs_the_peer_s_certificate_and_a_silent_peer_keeps_nobody_waiting(setup: Setup) -> None:
    own, other = certificate(setup.folder, "own"), certificate(setup.folder, "other")
    setup.server = ServerOptions(TITLE, "127.0.0.1", 0, own)
    stranger = TlsFiles(other.certificate, other.key, own.authorities)
    with setup.running() as listener:
        port = listener.server.port
        with socket.create_connection(("127.0.0.1", port)):  # it never begins its handshake
            assert tls_echo(port, own.client_context())
        assert not tls_echo(port, stranger.client_context())
        assert not echo(port)


def test_a_sender_that_leaves_in_the_middle_of_an_object_leaves_nothing(setup: Setup) -> None:
    with setup.running() as listener:
        ae = AE("SCANNER")
        ae.add_requested_context(dicoms.US, dicoms.EXPLICIT)
        association = ae.associate("127.0.0.1", listener.server.port, ae_title=TITLE)
        sent = threading.Event()
        real = association.dul.socket.send  # type: ignore[union-attr]
        calls = 0

        def cut(data: bytes) -> None:
            nonlocal calls
            calls += 1
            if calls > 3:
                sent.set()
                association.dul.socket.close()  # type: ignore[union-attr]
            else:
                real(data)

        association.dul.socket.send = cut  # type: ignore[union-attr, method-assign]
        import io

        import pydicom

        association.send_c_store(pydicom.dcmread(io.BytesIO(dicoms.native([speckle(900, 900)]))))
        assert sent.wait(60)
        eventually(lambda: listener.server.associations == 0)
        assert not stored(setup)
        assert not list((setup.folder / "spool" / "incoming").iterdir())
        assert listener.spool.used_bytes == 0
