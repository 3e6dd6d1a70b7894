"""Real parts around the listener: the command in a process of its own, dcmtk's programs, and Orthanc."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests

from bench.servers import free_port
from tests.support.listener import TITLE
from tests.support.paths import ROOT
from tests.support.waiting import eventually

ORTHANC = shutil.which("Orthanc") or "/usr/sbin/Orthanc"


def need(*programs: str) -> None:
    """Skip the tests of a module where a program is not installed."""
    missing = [each for each in programs if not shutil.which(each) and not Path(each).exists()]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}", allow_module_level=True)


START_S = 300  # on a machine that is busy with other work


def accepts(port: int) -> bool:
    """Return whether a port accepts connections."""
    try:
        socket.create_connection(("127.0.0.1", port), 5).close()
    except OSError:
        return False
    return True


@dataclass
class ListenProcess:
    """`fetal-planes listen`, which may be killed and started again."""

    arguments: Sequence[str]
    log: Path
    port: int = field(default_factory=free_port)
    environment: Mapping[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    def start(self, *, wait: bool = True) -> None:
        command = [sys.executable, "-m", "service.cli", "listen", "--host", "127.0.0.1", "--port", str(self.port)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*command, *self.arguments], cwd=ROOT, env=os.environ | self.environment, stderr=log
            )
        if wait:
            eventually(lambda: self._dead() or accepts(self.port), START_S)
            assert not self._dead(), self.log.read_text()

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        assert self.process is not None
        self.process.terminate()
        assert self.process.wait(START_S) == 0, self.log.read_text()

    def lines(self) -> list[dict[str, Any]]:
        """Return the lines of the log but those that a kill or a full disk has cut."""
        lines = []
        for line in self.log.read_text().splitlines():
            with suppress(json.JSONDecodeError):
                lines.append(json.loads(line))
        return [line for line in lines if isinstance(line, dict)]

    def _dead(self) -> bool:
        return self.process is None or self.process.poll() is not None


@dataclass
class Orthanc:
    """Orthanc with a DICOM port, which may be stopped and started again."""

    folder: Path
    settings: Mapping[str, Any] = field(default_factory=dict)
    http: int = field(default_factory=free_port)
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        configuration = {
            "StorageDirectory": str(self.folder / "storage"), "IndexDirectory": str(self.folder / "storage"),
            "HttpPort": self.http, "DicomPort": self.port, "DicomAet": "ORTHANC", "RemoteAccessAllowed": False,
            "AuthenticationEnabled": False, "DicomAlwaysAllowStore": True, "DicomAlwaysAllowEcho": True,
            "DicomCheckCalledAet": True, "StorageCompression": False,
        } | dict(self.settings)  # fmt: skip
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "orthanc.json").write_text(json.dumps(configuration))
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [ORTHANC, str(self.folder / "orthanc.json")], stdout=log, stderr=log, cwd=self.folder
            )
        eventually(self._answers, START_S)

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(60)
            self.process = None

    def get(self, path: str, *, text: bool = False) -> Any:
        reply = requests.get(f"http://127.0.0.1:{self.http}{path}", timeout=60)
        return reply.text if text else reply.json()

    def put(self, path: str, content: Mapping[str, Any]) -> None:
        requests.put(f"http://127.0.0.1:{self.http}{path}", json=content, timeout=60).raise_for_status()

    def post(self, path: str, content: bytes | str) -> Any:
        reply = requests.post(f"http://127.0.0.1:{self.http}{path}", data=content, timeout=120)
        reply.raise_for_status()
        return reply.json()

    def _answers(self) -> bool:
        try:
            return requests.get(f"http://127.0.0.1:{self.http}/system", timeout=1).ok
        except requests.RequestException:
            return False


@contextmanager
def running_orthanc(folder: Path, **settings: Any) -> Iterator[Orthanc]:
    """Return a context with Orthanc."""
    one = Orthanc(folder, settings)
    one.start()
    try:
        yield one
    finally:
        one.stop()


@contextmanager
def running_listen(folder: Path, *arguments: str, **environment: str) -> Iterator[ListenProcess]:
    """Return a context with the command, started."""
    one = ListenProcess(["--spool", str(folder / "spool"), *arguments], folder / "listen.log", environment=environment)
    one.start()
    try:
        yield one
    finally:
        if one.process is not None and one.process.poll() is None:
            one.stop()


def storescu(port: int, files: Sequence[Path], *options: str) -> list[Path]:
    """Send files with dcmtk's `storescu` in one association; return those that the listener acknowledged."""
    command = ["storescu", "-v", "-nh", "-to", "60", "-ta", "60", "-td", "60", "-aec", TITLE, *options]
    done = subprocess.run([*command, "127.0.0.1", str(port), *map(str, files)], capture_output=True, text=True)
    sent, acknowledged = None, []
    for line in (done.stdout + done.stderr).splitlines():
        if line.startswith("I: Sending file: "):
            sent = Path(line.removeprefix("I: Sending file: "))
        elif line.startswith("I: Received Store Response (Success)") and sent is not None:
            acknowledged.append(sent)
    return acknowledged


def pause(seconds: float) -> None:
    """Let the parts work on for a while: the moment of a fault, not a wait for its end."""
    time.sleep(seconds)
