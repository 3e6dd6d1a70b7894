"""The parts of a simulated day: scanners, a destination of reports, and the listener between them."""

import copy
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.events import Event
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from bench.servers import ROOT, START_TIMEOUT_S, free_port, stop

_TITLE = "FETALPLANES"
_REPORT = "1.2.840.10008.5.1.4.1.1.88.33"


@dataclass(frozen=True)
class Day:
    """How many exams of how many frames begin within `length_s`, and how long each takes."""

    exams: int
    frames: int
    length_s: float
    exam_s: float


@dataclass
class Arrivals:
    """What was acknowledged and what was delivered, with times."""

    acknowledged: dict[str, float] = field(default_factory=dict)  # by SOP Instance UID
    answer_s: list[float] = field(default_factory=list)
    reports: list[str] = field(default_factory=list)
    reported: dict[str, float] = field(default_factory=dict)  # by the UID of the source

    def result_s(self) -> list[float]:
        """Return the seconds from each acknowledgment to its report."""
        return [max(0.0, self.reported[uid] - at) for uid, at in self.acknowledged.items() if uid in self.reported]


@contextmanager
def receive_reports(arrivals: Arrivals) -> Iterator[int]:
    """Run a destination of reports; yield its port."""

    def note(event: Event) -> int:
        report = event.dataset
        (study,) = report.CurrentRequestedProcedureEvidenceSequence
        source = study.ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
        arrivals.reports.append(str(report.SOPInstanceUID))
        arrivals.reported.setdefault(str(source.ReferencedSOPInstanceUID), time.monotonic())
        return 0

    ae = AE("ARCHIVE")
    ae.add_supported_context(_REPORT)
    port = free_port()
    server = ae.start_server(("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_C_STORE, note)])
    try:
        yield port
    finally:
        if server is not None:
            server.shutdown()


@contextmanager
def running_listener(model: Path, folder: Path, destination: int) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Run the listener; yield its process and port."""
    port = free_port()
    command = [
        sys.executable, "-m", "service.cli", "listen", "--model", str(model), "--host", "127.0.0.1",
        "--port", str(port), "--spool", str(folder / "spool"),
        "--to", f"ARCHIVE@127.0.0.1:{destination}", "--exams", str(folder / "exams"),
    ]  # fmt: skip
    environment = os.environ | {"FETAL_PLANES_LOG_LEVEL": "error"}
    with subprocess.Popen(command, cwd=ROOT, env=environment, text=True) as process:
        try:
            deadline = time.monotonic() + START_TIMEOUT_S
            while not _echo(port):
                if time.monotonic() > deadline or process.poll() is not None:
                    raise TimeoutError("the listener does not start")
                time.sleep(0.2)
            yield process, port
        finally:
            stop(process)


def send_exam(day: Day, number: int, port: int, pictures: Sequence[Dataset], arrivals: Arrivals) -> None:
    """Store the frames of one exam, each when it is taken, in an association of its own as scanners do."""
    begin = time.monotonic() + day.length_s * number / day.exams
    study = f"1.2.826.0.1.3680043.8.498.1.{number + 1}"
    for frame in range(day.frames):
        time.sleep(max(0.0, begin + day.exam_s * frame / day.frames - time.monotonic()))
        picture = copy.copy(pictures[(number + frame) % len(pictures)])
        picture.StudyInstanceUID, picture.SeriesInstanceUID = study, f"{study}.1"
        picture.SOPInstanceUID = f"{study}.1.{frame + 1}"
        ae = AE(f"SCANNER{number}")
        ae.add_requested_context(picture.SOPClassUID, picture.file_meta.TransferSyntaxUID)
        association = ae.associate("127.0.0.1", port, ae_title=_TITLE)
        started = time.monotonic()
        if association.is_established and association.send_c_store(picture).get("Status") == 0:
            arrivals.acknowledged[str(picture.SOPInstanceUID)] = time.monotonic()
            arrivals.answer_s.append(time.monotonic() - started)
        if association.is_established:
            association.release()


def used_cpu_s(process_id: int) -> float:
    """Return the CPU time of a process and of all its descendants, in seconds (Linux)."""
    parents: dict[int, tuple[int, float]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:  # it has ended
                continue
            parents[int(entry.name)] = int(words[1]), sum(map(int, words[11:15])) / os.sysconf("SC_CLK_TCK")
    total, family = 0.0, {process_id}
    while True:
        more = {each for each, (parent, _) in parents.items() if parent in family} - family
        if not more:
            break
        family |= more
    for each in family:
        total += parents.get(each, (0, 0.0))[1]
    return total


def _echo(port: int) -> bool:
    ae = AE("BENCH")
    ae.add_requested_context(Verification)
    association = ae.associate("127.0.0.1", port, ae_title=_TITLE)
    if association.is_established:
        association.release()
    return bool(association.is_released)
