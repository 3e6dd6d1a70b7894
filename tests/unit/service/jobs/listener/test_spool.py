"""The spool loses nothing that it acknowledged and keeps nothing else, whatever happens to its process."""

import errno
import os
import resource
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from service.jobs import JobError
from service.jobs.listener import spool as spools
from service.jobs.listener.incoming import Identity
from service.jobs.listener.ledger import Delivery
from service.jobs.listener.spool import Acceptance, Result, Spool
from tests.support import dicom_objects as dicoms
from tests.support.listener import instance, still
from tests.support.paths import ROOT

ROOM = 10**6


def put(spool: Spool, number: int, data: bytes = b"data", limit: int = ROOM) -> Acceptance:
    incoming = spool.begin(Identity(dicoms.US, instance(number), dicoms.EXPLICIT), limit)
    for at in range(0, len(data), 1000):
        incoming.write(data[at : at + 1000])
    return spool.accept(incoming)


def contents(folder: Path) -> dict[str, int]:
    return {each.name: len(list(each.iterdir())) for each in folder.iterdir() if each.is_dir()}


def test_an_object_survives_and_is_given_once(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", ROOM)
    assert [put(spool, 1), put(spool, 1), put(spool, 1, b"other")] == ["stored", "duplicate", "conflict"]
    spool.close()
    spool = Spool(tmp_path / "spool", ROOM)
    (kept,) = spool.ledger.objects("received")
    assert spool.object_path(kept.key).read_bytes().endswith(b"data")
    assert spool.used_bytes == spool.object_path(kept.key).stat().st_size
    spool.complete([kept.key], [], "done")
    assert spool.used_bytes == 0
    assert put(spool, 1) == "duplicate"  # its results were given
    spool.close()


def test_the_study_is_read_from_the_object(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", ROOM)
    data = still(1, "1.2.99")
    put(spool, 1, data[data.index(b"\x08\x00\x05\x00") if b"\x08\x00\x05\x00" in data else 300 :])
    (kept,) = spool.ledger.objects("received")
    assert kept.study in ("1.2.99", kept.key)  # bytes that are no data set give a study of their own
    spool.close()


def test_what_was_not_acknowledged_is_deleted_at_the_start(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", ROOM)
    put(spool, 1)
    spool.close()
    folder = tmp_path / "spool"
    for name in ("incoming/draft", "objects/orphan.dcm", "outbox/orphan.dcm"):
        (folder / name).write_bytes(b"half")
    spool = Spool(folder, ROOM)
    assert contents(folder) == {"incoming": 0, "objects": 1, "outbox": 0, "dead": 0}
    spool.close()


def test_two_listeners_never_share_a_spool(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", ROOM)
    with pytest.raises(JobError, match="another run"):
        Spool(tmp_path / "spool", ROOM)
    spool.close()
    Spool(tmp_path / "spool", ROOM).close()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
@pytest.mark.parametrize("call", ["fsync", "rename"])
def test_a_failing_disk_refuses_the_object_and_nothing_of_it_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, call: str
) -> None:
    spool = Spool(tmp_path / "spool", ROOM)

    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        if call == "fsync":
            patch.setattr(os, "fsync", fail)
        else:
            patch.setattr(Path, "rename", fail)
        assert put(spool, 1) == "full"
    assert (contents(tmp_path / "spool")["objects"], spool.used_bytes) == (0, 0)
    assert put(spool, 1) == "stored"
    spool.close()


def test_a_full_ledger_refuses_the_object(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = Spool(tmp_path / "spool", ROOM)

    def fail(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(spool.ledger, "add", fail)
        assert put(spool, 1) == "full"
    assert contents(tmp_path / "spool")["objects"] == 0
    assert put(spool, 1) == "stored"
    spool.close()


def test_a_disk_that_takes_a_part_refuses_the_object(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", ROOM)
    put(spool, 0)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        assert put(spool, 1, bytes(200_000)) == "full"
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert contents(tmp_path / "spool")["objects"] == 1
    assert put(spool, 1, bytes(200_000)) == "stored"
    spool.close()


def test_a_dead_letter_keeps_the_result_and_the_reason(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", ROOM)
    put(spool, 1)
    (kept,) = spool.ledger.objects("received")
    spool.store_result("a.dcm", b"result")
    spool.complete([kept.key], [Result("a.dcm", "dicom")], "done")
    (delivery,) = spool.ledger.deliveries()
    spool.bury(delivery, "nobody wants it")
    assert spool.ledger.deliveries() == []
    assert spool.dead_letters == 1
    assert (tmp_path / "spool" / "dead" / "a.dcm").read_bytes() == b"result"
    assert "nobody wants it" in (tmp_path / "spool" / "dead" / "a.dcm.reason.json").read_text()
    spool.close()
    spool = Spool(tmp_path / "spool", ROOM)
    assert spool.used_bytes > len(b"result")  # dead letters count, too
    spool.close()


def test_results_and_the_end_of_their_object_are_one_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = Spool(tmp_path / "spool", ROOM)
    put(spool, 1)
    (kept,) = spool.ledger.objects("received")
    spool.store_result("a.dcm", b"result")

    def fail(*_: object) -> None:
        raise sqlite3.OperationalError

    with monkeypatch.context() as patch:
        patch.setattr(spool.ledger, "move", fail)
        with pytest.raises(sqlite3.OperationalError):
            spool.complete([kept.key], [Result("a.dcm", "dicom")], "done")
    assert spool.ledger.deliveries() == []
    assert spool.object_path(kept.key).exists()
    spool.close()


def test_old_objects_are_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = Spool(tmp_path / "spool", ROOM)
    put(spool, 1)
    spool.complete([spool.ledger.objects("received")[0].key], [], "done")
    spool.forget_old()
    assert put(spool, 1) == "duplicate"
    monkeypatch.setattr(spools, "_REMEMBER_S", -1)
    spool.forget_old()
    assert put(spool, 1) == "stored"
    spool.close()


def test_a_delivery_of_the_same_name_is_planned_once(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", ROOM)
    for _ in range(2):
        spool.ledger.plan(Delivery("a", "dicom", 1.0))
    assert len(spool.ledger.deliveries()) == 1
    spool.close()


WRITER = """
import os, sys
from pathlib import Path
from service.jobs.listener.incoming import Identity
from service.jobs.listener.spool import Spool

def write(folder, last):
    count = 0

    def step(*_):
        nonlocal count
        count += 1
        if count == last:
            os.kill(os.getpid(), 9)

    def watch(event, _):
        if event in ("open", "os.rename", "os.remove", "sqlite3.connect"):
            step()

    def fsync(descriptor, real=os.fsync):
        step()
        real(descriptor)
        step()

    os.fsync = fsync
    spool = Spool(folder, 10**6)
    sys.addaudithook(watch)
    for number in range(3):
        incoming = spool.begin(Identity("1.2.840.10008.5.1.4.1.1.6.1", f"1.2.{number}", "1.2.840.10008.1.2.1"), 10**6)
        incoming.write(b"data")
        os.write(1, f"{last} {number} {spool.accept(incoming)}\\n".encode())
    os.write(1, f"{last} end\\n".encode())

for last in range(1, 80):  # a killed child for each call that changes the disk
    child = os.fork()
    if not child:
        write(Path(sys.argv[1]) / str(last), last)
        os._exit(0)
    if os.waitpid(child, 0)[1] == 0:
        break
"""


def test_a_process_killed_at_any_call_loses_no_acknowledged_object(tmp_path: Path) -> None:
    run = subprocess.run([sys.executable, "-c", WRITER, str(tmp_path)], cwd=ROOT, capture_output=True, text=True)
    output = [line.split() for line in run.stdout.splitlines()]
    folders = sorted(tmp_path.iterdir(), key=lambda path: int(path.name))
    assert len(folders) > 10, run.stderr
    assert output[-1] == [folders[-1].name, "end"]
    for folder in folders:
        acknowledged = {f"1.2.{line[1]}" for line in output if line[0] == folder.name and line[-1] == "stored"}
        spool = Spool(folder, ROOM)
        kept = spool.ledger.objects("received")
        assert {each.instance for each in kept} >= acknowledged
        assert len(kept) <= len(acknowledged) + 1
        assert contents(folder)["objects"] == len(kept)
        assert all(spool.object_path(each.key).read_bytes().endswith(b"data") for each in kept)
        spool.close()
