"""Results of what arrived: made once, delivered once, kept while the destination is away."""

import hashlib
import hmac
import io
import json
import logging
import sqlite3
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pydicom
import pytest

from service.errors import InternalError
from service.jobs import JobError
from service.jobs.listener import delivery, frames, studies
from service.jobs.listener.ledger import Ledger
from service.jobs.listener.options import DicomPeer, ResultOptions, StudyOptions, Webhook
from service.jobs.runner import FrameChoice
from service.jobs.worker import FrameWorker
from service.reports.dicom import DicomObject
from service.schemas.protocols import ItemPlane, Protocol, ProtocolItem
from tests.support import dicom_objects as dicoms
from tests.support.images import speckle
from tests.support.listener import STUDY, Destination, Setup, destination, instance, send, still
from tests.support.waiting import eventually

SECRET = "s3cret"
PROTOCOL = Protocol(
    id="two-brains", name="Two brains", version="3", exam="any", source=None, not_covered=None,
    items=[
        ProtocolItem(
            label="Brain", one_of=[ItemPlane(plane="fetal_brain", sub_plane=None, label="Fetal brain")], min=2,
            optional=False, note=None,
        )
    ],
)  # fmt: skip
CINE = dicoms.compressed(
    [speckle(60, 80, seed=seed) for seed in range(5)],
    dicoms.RLE,
    dicoms.rle,
    "MONOCHROME2",
    SOPInstanceUID="1.2.3.4.11",
)


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "_FIRST_RETRY_S", 0.02)
    monkeypatch.setattr(delivery, "_LAST_RETRY_S", 0.2)
    monkeypatch.setattr(delivery, "_IDLE_S", 0.05)
    monkeypatch.setattr(frames, "_RETRY_S", 0.05)
    monkeypatch.setattr(studies, "_STEP_S", 0.05)


@pytest.fixture
def archive() -> Iterator[Destination]:
    with destination() as each:
        yield each


def report(contents: bytes) -> pydicom.Dataset:
    return pydicom.dcmread(io.BytesIO(contents), force=True)


def sources(archive: Destination) -> list[str]:
    """The SOP Instance UIDs that the reports refer to, from their evidence sequences."""
    found = []
    for _, contents in archive.received:
        for study in report(contents).get("CurrentRequestedProcedureEvidenceSequence", []):
            found += [
                str(each.ReferencedSOPInstanceUID)
                for series in study.ReferencedSeriesSequence
                for each in series.ReferencedSOPSequence
            ]
    return found


def is_empty(setup: Setup) -> bool:
    return not any(list((setup.folder / "spool" / name).iterdir()) for name in ("incoming", "objects", "outbox"))


def test_each_frame_has_a_report_and_the_spool_is_emptied(setup: Setup, archive: Destination) -> None:
    with setup.to(archive.peer).running() as listener:
        assert send(listener.server.port, [still(1), still(2), CINE]) == [0, 0, 0]
        eventually(lambda: len(archive.received) == 7)
        eventually(lambda: is_empty(setup))
        assert send(listener.server.port, [still(1)]) == [0]  # a repetition
    assert len(set(archive.uids)) == 7
    assert sorted(sources(archive)) == sorted([instance(1), instance(2), *["1.2.3.4.11"] * 5])


def test_overlays_and_the_best_frames_of_a_loop(setup: Setup, archive: Destination) -> None:
    setup.to(archive.peer, overlays=True, choice=FrameChoice(best=True))
    with setup.running() as listener:
        send(listener.server.port, [CINE])
        eventually(lambda: is_empty(setup) and len(archive.received) > 0)
    assert 2 <= len(archive.received) <= 8
    assert len({report(each).SOPClassUID for _, each in archive.received}) == 2


def test_a_destination_that_is_away_gets_everything_later(setup: Setup) -> None:
    archive = Destination()
    with setup.to(archive.peer).running() as listener:
        send(listener.server.port, [still(number) for number in range(3)])
        eventually(lambda: len(list((setup.folder / "spool" / "outbox").iterdir())) == 3)
        value = listener.metrics.registry.get_sample_value
        unreachable = {"kind": "dicom", "result": "unreachable"}
        eventually(lambda: (value("fetal_planes_listener_deliveries_total", unreachable) or 0) >= 2)
        archive.start()
        eventually(lambda: is_empty(setup))
    archive.stop()
    assert len(archive.uids) == len(set(archive.uids)) == 3


def test_results_wait_in_the_spool_for_the_next_start(setup: Setup) -> None:
    archive = Destination()
    with setup.to(archive.peer).running() as listener:
        send(listener.server.port, [still(1)])
        eventually(lambda: len(list((setup.folder / "spool" / "outbox").iterdir())) == 1)
    archive.start()
    with setup.running():
        eventually(lambda: is_empty(setup))
    archive.stop()
    assert len(archive.uids) == 1


@pytest.mark.parametrize(("status", "refused"), [(0xC123, True), (0xA700, False)])
def test_a_refused_result_is_a_dead_letter_and_a_full_destination_is_asked_again(
    setup: Setup, archive: Destination, status: int, refused: bool
) -> None:
    archive.status = status
    with setup.to(archive.peer).running() as listener:
        send(listener.server.port, [still(1)])
        value = listener.metrics.registry.get_sample_value
        ends = {"kind": "dicom", "result": "refused" if refused else "unreachable"}
        eventually(lambda: (value("fetal_planes_listener_deliveries_total", ends) or 0) >= 5)
        if refused:
            eventually(lambda: listener.spool.dead_letters == 1)
            (reason,) = (setup.folder / "spool" / "dead").glob("*.json")
            assert json.loads(reason.read_text())["reason"] == f"the destination answered 0x{status:04X}"
        else:
            archive.status = 0
            eventually(lambda: len(archive.received) == 1)
            assert listener.spool.dead_letters == 0


def test_what_cannot_be_delivered_for_long_is_a_dead_letter(setup: Setup) -> None:
    with setup.to(Destination().peer, give_up_s=0.01).running() as listener:
        send(listener.server.port, [still(1)])
        eventually(lambda: listener.spool.dead_letters == 1)
        assert is_empty(setup)


def test_a_destination_with_another_title_is_named_in_the_log(setup: Setup, caplog: pytest.LogCaptureFixture) -> None:
    archive = Destination(require_title=True)
    archive.start()
    with setup.to(DicomPeer("WRONG", "127.0.0.1", archive.port)).running() as listener:
        send(listener.server.port, [still(1)])
        eventually(lambda: any("reason" in vars(each) for each in caplog.records))
    archive.stop()
    (reason, *_) = [vars(each)["reason"] for each in caplog.records if "reason" in vars(each)]
    assert reason == "the association was rejected: it has another AE title"


def test_objects_that_cannot_be_read_are_logged_and_leave_the_spool(
    setup: Setup, archive: Destination, caplog: pytest.LogCaptureFixture
) -> None:
    broken = dicoms.native([speckle(60, 80)], SOPInstanceUID="1.2.9", Rows=9000)
    with setup.to(archive.peer).running() as listener:
        assert send(listener.server.port, [broken, still(1)]) == [0, 0]
        eventually(lambda: len(archive.received) == 1 and is_empty(setup))
    assert [vars(each)["problem"] for each in caplog.records if "problem" in vars(each)] == ["unreadable-frame"]


def test_a_failure_outside_the_object_is_tried_again(
    setup: Setup, archive: Destination, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = FrameWorker._answer, [0]

    def fail_twice(self: FrameWorker, *arguments: Any) -> Any:
        calls[0] += 1
        if calls[0] <= 2:
            raise InternalError("no memory")
        return real(self, *arguments)

    monkeypatch.setattr(FrameWorker, "_answer", fail_twice)
    with setup.to(archive.peer).running() as listener:
        send(listener.server.port, [still(1)])
        eventually(lambda: len(archive.received) == 1 and is_empty(setup))
    assert calls[0] == 3


def test_a_full_disk_delays_the_results_and_loses_none(
    setup: Setup, archive: Destination, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, left = frames.ResultStore.store, [3]

    def fail(self: frames.ResultStore, result: Any) -> str:
        if left[0]:
            left[0] -= 1
            raise JobError("the spool cannot be written")
        return real(self, result)

    monkeypatch.setattr(frames.ResultStore, "store", fail)
    with setup.to(archive.peer).running() as listener:
        send(listener.server.port, [still(1), still(2)])
        eventually(lambda: len(archive.received) == 2 and is_empty(setup))


def test_on_a_full_disk_each_result_is_sent_once_and_its_file_makes_room(
    setup: Setup, archive: Destination, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, is_full = Ledger.end_delivery, threading.Event()

    def end_delivery(self: Ledger, name: str) -> None:
        if is_full.is_set():
            raise sqlite3.OperationalError("database or disk is full")
        real(self, name)

    monkeypatch.setattr(Ledger, "end_delivery", end_delivery)
    is_full.set()
    with setup.to(archive.peer).running() as listener:
        send(listener.server.port, [still(1), still(2)])
        eventually(lambda: len(archive.received) == 2 and is_empty(setup))
        assert len(listener.spool.ledger.deliveries()) == 2
        assert send(listener.server.port, [still(3)]) == [0]
        eventually(lambda: len(archive.received) == 3 and is_empty(setup))
        is_full.clear()
        eventually(lambda: not listener.spool.ledger.deliveries())
        assert listener.spool.used_bytes == listener.spool.dead_letters == 0
    assert len(set(archive.uids)) == 3 == len(archive.uids)


def test_a_study_has_one_report_and_an_exam(setup: Setup, archive: Destination) -> None:
    setup.studies = StudyOptions(idle_s=0.5, folder=setup.folder / "exams", protocol=PROTOCOL)
    with setup.to(archive.peer, per="study").running() as listener:
        send(listener.server.port, [still(1), still(2), CINE, still(1, "1.2.99")])
        eventually(lambda: len(archive.received) == 2 and is_empty(setup))
    found = {str(report(each).StudyInstanceUID): report(each) for _, each in archive.received}
    groups = [each for each in found[STUDY].ContentSequence if each.ConceptNameCodeSequence[0].CodeValue == "126010"]
    assert len(groups[0].ContentSequence) >= 3  # two stills, and the best frames of the loop
    assert "protocol Two brains" in [str(each.value) for each in found[STUDY].iterall()]
    assert {instance(1), instance(2), "1.2.3.4.11"} <= set(sources(archive))
    exams = [json.loads(path.read_text()) for path in (setup.folder / "exams").glob("*.json")]
    assert {each["study"] for each in exams} == {STUDY, "1.2.99"}
    (exam,) = [each["exam"] for each in exams if each["study"] == STUDY]
    assert (exam["files"], exam["complete"], len(exam["cines"])) == (3, True, 1)
    assert (exam["protocol"]["id"], exam["protocol"]["version"]) == ("two-brains", "3")
    for path in (setup.folder / "exams").iterdir():
        assert path.stat().st_mode & 0o077 == 0
        assert not [value for value in (*dicoms.PLANTED.values(), STUDY) if value in path.name]
        assert not [value for value in dicoms.PLANTED.values() if value in path.read_text()]
    assert len(list((setup.folder / "exams").glob("*.html"))) == 2


def test_other_options_leave_no_object_behind(setup: Setup, archive: Destination) -> None:
    setup.studies = StudyOptions(idle_s=3600, folder=setup.folder / "exams")
    with setup.to(archive.peer).running() as listener:
        send(listener.server.port, [still(1)])
        eventually(lambda: len(listener.spool.ledger.objects("analyzed")) == len(archive.received) == 1)
    setup.results, setup.studies = ResultOptions(), StudyOptions(idle_s=0.1, folder=setup.folder / "exams")
    with setup.running():
        eventually(lambda: is_empty(setup))
    assert len(list((setup.folder / "exams").glob("*.json"))) == 1
    with setup.to(archive.peer).running() as listener:
        send(listener.server.port, [still(2)])
        eventually(lambda: len(archive.received) == 2)
    setup.studies = StudyOptions()
    with setup.running():
        eventually(lambda: is_empty(setup))


def test_a_result_that_disappears_holds_up_no_other(setup: Setup) -> None:
    archive = Destination()
    with setup.to(archive.peer).running() as listener:
        send(listener.server.port, [still(1), still(2)])
        outbox = setup.folder / "spool" / "outbox"
        eventually(lambda: len(listener.spool.ledger.deliveries()) == 2)
        next(outbox.iterdir()).unlink()
        archive.start()
        eventually(lambda: not listener.spool.ledger.deliveries())
        lost = listener.spool.dead_letters  # none where an attempt had read the file just before
    archive.stop()
    assert (len(archive.received), lost) in ((1, 1), (2, 0))


def test_two_results_of_one_uid_have_files_of_their_own(setup: Setup) -> None:
    with setup.to(Destination().peer).running() as listener:
        store = frames.ResultStore(listener.spool)
        first, second = (store.store(DicomObject("1.2.55", contents)) for contents in (b"first", b"second"))
        assert first != second
        assert listener.spool.result_path(first).read_bytes() == b"first"


def test_late_objects_are_a_further_exam(setup: Setup) -> None:
    setup.studies = StudyOptions(idle_s=0.3, folder=setup.folder / "exams")
    with setup.running() as listener:
        for number in (1, 2):
            send(listener.server.port, [still(number)])
            eventually(lambda number=number: len(list((setup.folder / "exams").glob("*.json"))) == number)  # type: ignore[misc]
        eventually(lambda: is_empty(setup))


@dataclass
class Receiver:
    """A webhook's receiver; `statuses` are its next answers, 204 after them."""

    statuses: list[int] = field(default_factory=list)
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    url: str = ""


@pytest.fixture
def receiver() -> Iterator[Callable[[], Receiver]]:
    one = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            one.got.append((dict(self.headers), body))
            self.send_response(one.statuses.pop(0) if one.statuses else 204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    one.url = f"http://127.0.0.1:{server.server_address[1]}/studies"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield lambda: one
    server.shutdown()
    server.server_close()
    thread.join()


def test_the_webhook_is_signed_and_retried(setup: Setup, receiver: Callable[[], Receiver]) -> None:
    one = receiver()
    one.statuses = [503, 500]
    setup.studies = StudyOptions(idle_s=0.1, webhook=Webhook(one.url, SECRET))
    with setup.running() as listener:
        send(listener.server.port, [still(1)])
        eventually(lambda: len(one.got) == 3 and is_empty(setup))
    assert len({body for _, body in one.got}) == 1
    assert len({headers["X-Fetal-Planes-Delivery"] for headers, _ in one.got}) == 1
    headers, body = one.got[-1]
    signed = hmac.new(SECRET.encode(), headers["X-Fetal-Planes-Timestamp"].encode() + b"." + body, hashlib.sha256)
    assert headers["X-Fetal-Planes-Signature"] == f"sha256={signed.hexdigest()}"
    assert json.loads(body)["study"] == STUDY


def test_a_webhook_that_refuses_gets_a_dead_letter(setup: Setup, receiver: Callable[[], Receiver]) -> None:
    one = receiver()
    one.statuses = [422] * 9
    setup.studies = StudyOptions(idle_s=0.1, webhook=Webhook(one.url, SECRET))
    with setup.running() as listener:
        send(listener.server.port, [still(1)])
        eventually(lambda: listener.spool.dead_letters == 1)
    assert len(one.got) == 5


def test_a_study_that_fails_is_tried_again_and_then_given_up(
    setup: Setup, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(*_: object) -> None:
        raise ValueError(dicoms.PLANTED["PatientName"])

    monkeypatch.setattr(studies, "sort_exam", fail)
    caplog.set_level(logging.DEBUG)
    setup.studies = StudyOptions(idle_s=0.1, folder=setup.folder / "exams")
    with setup.running() as listener:
        send(listener.server.port, [still(1)])
        eventually(lambda: is_empty(setup) and listener.spool.ledger.objects("received") == [])
    words = [each.getMessage() for each in caplog.records if "study" in each.getMessage()]
    assert words == ["a study failed; it is tried again"] * 3 + ["a study is given up"]
    assert dicoms.PLANTED["PatientName"] not in str([vars(each) for each in caplog.records])


def test_no_result_goes_back_to_the_sender(setup: Setup, archive: Destination, tmp_path: Path) -> None:
    setup.studies = StudyOptions(idle_s=0.1, folder=tmp_path / "exams")
    with setup.running() as listener:  # without a destination
        send(listener.server.port, [still(1)], calling="ARCHIVE")
        eventually(lambda: is_empty(setup))
    assert archive.received == []
