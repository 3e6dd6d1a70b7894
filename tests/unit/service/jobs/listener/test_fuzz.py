"""Broken PDUs and damaged objects: the listener goes on, keeps nothing of them, and leaks neither memory nor files.

`LISTENER_MUTANTS` sets the number of damaged objects; 5,000 take some minutes.
"""

import io
import os
import random
import socket
import threading
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pydicom
import pytest
from pynetdicom import AE, _config

from service.execution.decoders.limits import DecoderLimits
from service.execution.decoders.pool import open_decoder
from service.jobs.listener.incoming import Identity, _file_head
from service.jobs.listener.options import NetworkLimits
from tests.support import dicom_objects as dicoms
from tests.support.images import speckle
from tests.support.listener import TITLE, Setup, destination, echo, send, still
from tests.support.mutants import mutate
from tests.support.waiting import eventually

MUTANTS = int(os.environ.get("LISTENER_MUTANTS", "60"))
PDUS = int(os.environ.get("LISTENER_PDUS", "60"))


def association_request() -> bytes:
    """The bytes of an association request, as a sender writes them."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        taken = bytearray()

        def take() -> None:
            connection, _ = server.accept()
            with connection:
                taken.extend(connection.recv(65536))

        thread = threading.Thread(target=take)
        thread.start()
        ae = AE("SCANNER")
        ae.acse_timeout = 5
        ae.add_requested_context(dicoms.US)
        ae.associate("127.0.0.1", server.getsockname()[1], ae_title=TITLE)
        thread.join()
    return bytes(taken)


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_broken_pdus_end_their_connection_only(setup: Setup) -> None:
    setup.server = replace(setup.server, limits=NetworkLimits(connections_per_minute=10**6))
    request, chance = association_request(), random.Random(5)
    data = b"\x04\x00\x00\x00\x00\x0a\x00\x00\x00\x06\x01\x03" + bytes(4)
    with setup.running() as listener:
        for _ in range(PDUS):
            sent = bytearray(request + data * chance.randint(0, 3))
            for _ in range(chance.randint(0, 12)):
                sent[chance.randrange(len(sent))] = chance.randrange(256)
            with socket.create_connection(("127.0.0.1", listener.server.port)) as peer:
                peer.settimeout(60)
                try:
                    peer.sendall(bytes(sent[: chance.randint(1, len(sent))]))
                    peer.shutdown(socket.SHUT_WR)
                    while peer.recv(4096):
                        pass
                except OSError:  # reset
                    pass
        eventually(lambda: listener.server.associations == 0)
        assert echo(listener.server.port)
        assert not list((setup.folder / "spool" / "incoming").iterdir())


@pytest.mark.parametrize("flood", [b"\x04\x00\x00\x00\x00\x08\x00\x00\x00\x04\x01\x01AA"], ids=["endless command"])
def test_an_endless_command_ends_the_association(setup: Setup, flood: bytes) -> None:
    setup.server = replace(setup.server, limits=NetworkLimits(timeout_s=2))
    with setup.running() as listener:
        ae = AE("SCANNER")
        ae.add_requested_context(dicoms.US)
        association = ae.associate("127.0.0.1", listener.server.port, ae_title=TITLE)
        connection = association.dul.socket.socket  # type: ignore[union-attr]
        try:
            for _ in range(1000):
                connection.sendall(flood * 1000)  # type: ignore[union-attr]
        except (OSError, AttributeError):
            pass
        eventually(lambda: listener.server.associations == 0)
        assert echo(listener.server.port)
        association.abort()


def data_set(file: bytes) -> tuple[str, bytes]:
    """The transfer syntax and the data set of a file."""
    meta = pydicom.dcmread(io.BytesIO(file)).file_meta
    return str(meta.TransferSyntaxUID), file[144 + meta.FileMetaInformationGroupLength :]


def send_damaged(port: int, folder: Path, originals: list[bytes], numbers: range) -> list[int | None]:
    """Send damaged data sets under new UIDs, without reading them; return the answers."""
    ae = AE("SCANNER")
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = 120
    syntaxes = sorted({data_set(each)[0] for each in originals})
    for syntax in syntaxes:
        ae.add_requested_context(dicoms.US, syntax)
    association = ae.associate("127.0.0.1", port, ae_title=TITLE)
    assert association.is_established
    statuses: list[int | None] = []
    for number in numbers:
        chance = random.Random(number)
        syntax, data = data_set(originals[number % len(originals)])
        path = folder / "damaged.dcm"
        path.write_bytes(_file_head(Identity(dicoms.US, f"1.2.77.{number}", syntax)) + mutate(data, chance))
        assert association.is_established, f"the association ended after mutant {number - 1}"
        statuses.append(association.send_c_store(path).get("Status"))
    association.release()
    return statuses


def test_damaged_objects_are_answered_and_nothing_stays(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_config, "STORE_SEND_CHUNKED_DATASET", True)
    originals = [
        still(1),
        dicoms.compressed([speckle(60, 80, seed=1)] * 3, dicoms.RLE, dicoms.rle, "MONOCHROME2"),
        dicoms.compressed([speckle(60, 80, seed=1)], dicoms.BASELINE, dicoms.jpeg, "MONOCHROME2"),
    ]
    # As in `listen`: a damaged object that decodes for long must not stop this process.
    setup.decoder = open_decoder(DecoderLimits(2**25, 32_000_000), 2)
    with closing(setup.decoder), destination() as archive, setup.to(archive.peer).running() as listener:
        for start in range(0, MUTANTS, 100):
            numbers = range(start, min(start + 100, MUTANTS))
            assert set(send_damaged(listener.server.port, setup.folder, originals, numbers)) == {0}
        spool = setup.folder / "spool"
        eventually(lambda: not any(list((spool / name).iterdir()) for name in ("incoming", "objects", "outbox")), 900)
        assert listener.spool.used_bytes == 0
        eventually(lambda: listener.server.associations == 0)
        before = len(archive.received)
        monkeypatch.setattr(_config, "STORE_SEND_CHUNKED_DATASET", False)
        assert send(listener.server.port, [still(2)]) == [0]
        eventually(lambda: len(archive.received) > before)
    assert open_files() < 200
