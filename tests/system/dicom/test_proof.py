"""500 objects in 8 associations through faults: every acknowledged object has its result exactly once."""

import os
import random
import resource
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.listener import instance, still
from tests.support.waiting import eventually
from tests.system.dicom.parts import ORTHANC, ListenProcess, Orthanc, need, pause, storescu

need("storescu", "echoscu", ORTHANC)

OBJECTS, ASSOCIATIONS, KILLS = int(os.environ.get("LISTENER_OBJECTS", "500")), 8, 5
SMALLEST_FILE = 4096  # no object fits into it: a full disk


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Orthanc]:
    one = Orthanc(tmp_path / "orthanc")
    yield one
    one.stop()


@pytest.fixture
def listener(tmp_path: Path, archive: Orthanc, phantom_folder: Path) -> Iterator[ListenProcess]:
    arguments = ["--spool", str(tmp_path / "spool"), "--to", f"ORTHANC@127.0.0.1:{archive.port}"]
    one = ListenProcess([*arguments, "--model", str(phantom_folder)], tmp_path / "log")
    yield one
    if one.process is not None and one.process.poll() is None:
        one.kill()


def send_until_acknowledged(port: int, files: list[Path], acknowledged: set[Path], deadline: threading.Event) -> None:
    """Send as a scanner does: what was not acknowledged comes again."""
    left = list(files)
    while left and not deadline.is_set():
        answered = storescu(port, left[: random.randint(5, 40)])
        acknowledged.update(answered)
        left = [each for each in left if each not in acknowledged]
        if not answered:
            pause(0.2)


def limit_files(listener: ListenProcess, size: int) -> None:
    assert listener.process is not None
    hard = resource.prlimit(listener.process.pid, resource.RLIMIT_FSIZE)[1]
    resource.prlimit(listener.process.pid, resource.RLIMIT_FSIZE, (size, hard))


def inflict(listener: ListenProcess, archive: Orthanc, acknowledged: set[Path]) -> None:
    """Kill the listener, fill its disk, and take the destination away, each after a share of the objects."""

    def after(share: float) -> None:
        eventually(lambda: len(acknowledged) >= share * OBJECTS, 900)

    for kill in range(KILLS):
        after(0.05 + 0.15 * kill)
        listener.kill()
        pause(random.uniform(0.0, 0.5))
        listener.start()
        if kill == 1:
            limit_files(listener, SMALLEST_FILE)
            pause(2)
            limit_files(listener, resource.RLIM_INFINITY)
        if kill == 2:
            archive.stop()
        if kill == 3:
            archive.start()


def results_of(archive: Orthanc) -> Counter[str]:
    """How many results each source has: by the reports' evidence sequences."""
    found: Counter[str] = Counter()
    for identifier in archive.get("/instances"):
        tags = archive.get(f"/instances/{identifier}/simplified-tags")
        for study in tags["CurrentRequestedProcedureEvidenceSequence"]:
            for series in study["ReferencedSeriesSequence"]:
                found.update(each["ReferencedSOPInstanceUID"] for each in series["ReferencedSOPSequence"])
    return found


def test_every_acknowledged_object_has_its_result_exactly_once(
    tmp_path: Path, archive: Orthanc, listener: ListenProcess
) -> None:
    files = []
    for number in range(OBJECTS):
        files.append(tmp_path / f"{number}.dcm")
        files[-1].write_bytes(still(number, f"1.2.3.{number % 20}"))
    archive.start()
    listener.start()
    acknowledged: set[Path] = set()
    ended = threading.Event()
    with ThreadPoolExecutor(ASSOCIATIONS) as scanners:
        shares = [files[start::ASSOCIATIONS] for start in range(ASSOCIATIONS)]
        sent = [scanners.submit(send_until_acknowledged, listener.port, share, acknowledged, ended) for share in shares]
        try:
            inflict(listener, archive, acknowledged)
            eventually(lambda: all(each.done() for each in sent), 900)
        finally:
            ended.set()
    for each in sent:
        each.result()
    assert len(acknowledged) == OBJECTS
    spool = tmp_path / "spool"
    eventually(lambda: not any(list((spool / name).iterdir()) for name in ("objects", "outbox")), 900)
    listener.stop()
    wanted = Counter(instance(number, f"1.2.3.{number % 20}") for number in range(OBJECTS))
    assert results_of(archive) == wanted
    assert not list((spool / "dead").iterdir())
    assert not list((spool / "incoming").iterdir())
    assert any(line.get("full") for line in listener.lines()), "the disk was never full"
