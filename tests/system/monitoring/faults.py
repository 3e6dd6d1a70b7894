"""One service a kind of trouble, and the faults that are done to it."""

import os
import resource
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from subprocess import DEVNULL, Popen

import httpx2
import numpy as np
from numpy.typing import NDArray

from bench.servers import free_port, start_service
from service.api.middleware.api_keys import new_key
from tests.support.images import animation, encode, speckle
from tests.support.phantom_package import Phantom
from tests.system.monitoring.watched import PATIENCE_S, Job, until, write_brittle

PHANTOM = Phantom(max_ood_score=0.6)
TILE = PHANTOM.kernels[:, 0] > 0
USUAL = [np.tile(np.where(TILE[kernel], 60, 0).astype(np.uint8), (8, 8)) for kernel in (0, 2)]
"""Two planes, each surely told and familiar."""
STRANGE = np.full((64, 64), 255, np.uint8)
"""A third plane, less surely told and not familiar."""
LARGE = encode(speckle(1800, 2400))
MANY = 40  # frames of a batch
HELD = 60 * 2**20


class Patient:
    """A service, and what is done to it until the end."""

    def __init__(self, name: str, model: Path, key_file: Path, **settings: str) -> None:
        self.name, self.model, self.settings = name, model, settings
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.job = Job(name, (self.port,), key_file)
        self.process = self._start()

    def _start(self) -> Popen[str]:
        return start_service(self.model, self.port, self.settings, stderr=DEVNULL)

    def restart(self) -> None:
        """Die without a word, and start again."""
        self.process.kill()
        self.process.wait()
        self.process = self._start()
        self.wait()

    def wait(self) -> None:
        """Wait until it is ready; four that start at once take their time."""
        until(self._ready, f"{self.name} to be ready")

    def _ready(self) -> bool:
        try:
            return httpx2.get(f"{self.url}/health/ready").status_code == 200
        except httpx2.TransportError:
            return False


@contextmanager
def again_and_again(*acts: Callable[[], None]) -> Iterator[None]:
    """Do each of the acts over and over, side by side, meanwhile."""
    end = threading.Event()

    def repeat(act: Callable[[], None]) -> None:
        while not end.is_set():
            act()
            end.wait(0.1)  # a busy loop would measure nothing but itself

    with ThreadPoolExecutor(len(acts)) as threads:
        under_way = [threads.submit(repeat, act) for act in acts]
        try:
            yield
        finally:
            end.set()
        for each in under_way:
            each.result()


class Ward:
    """The services: one that is well until its frames change, and three that are not."""

    def __init__(self, folder: Path) -> None:
        none = folder / "no-key"
        none.write_text("")
        self.key, line = new_key("prometheus")
        (folder / "keys").write_text(line)
        (key_file := folder / "key").write_text(self.key)
        model = PHANTOM.write(folder / "model")
        self.well = Patient("fetal-planes", model, none, workers="2")
        self.strained = Patient("strained", model, none, workers="1", max_requests="4")
        limits = {"max_upload_bytes": str(2 * HELD), "max_held_bytes": str(round(2.4 * HELD)), "upload_s": "600"}
        self.leaking = Patient("leaking", model, none, **limits)
        brittle = write_brittle(folder / "brittle")
        keys = str(folder / "keys")
        self.faulty = Patient("faulty", brittle, key_file, api_keys=keys, drain_s="600")
        self.patients = [self.well, self.strained, self.leaking, self.faulty]
        self.jobs = [each.job for each in self.patients]
        self.jobs.append(Job("mixed", (self.well.port, self.faulty.port), key_file))
        self.clients = httpx2.Client(timeout=PATIENCE_S, limits=httpx2.Limits(max_connections=20))
        self.connections: list[socket.socket] = []

    def wait(self) -> None:
        """Wait until all are ready."""
        for each in self.patients:
            each.wait()

    def close(self) -> None:
        """End all of it."""
        self.clients.close()
        for connection in self.connections:
            connection.close()
        for each in self.patients:
            each.process.kill()
            each.process.wait()

    def ask_as_usual(self) -> None:
        """What a department does all day; one upload is no image."""
        self._ask(USUAL * (MANY // 2))

    def ask_strangely(self) -> None:
        """Another machine, or a transducer that is left on."""
        self._ask([STRANGE] * MANY)

    def crowd(self) -> None:
        """A client more than there is room for, who asks again at once; several do this."""
        for _ in range(5):
            self._post(self.strained, "/classify", LARGE)

    def hurry(self) -> None:
        """A client that has no time."""
        self._post(self.strained, "/classify", LARGE, {"X-Deadline-Ms": "500"})

    def stall(self) -> None:
        """The machine has something else to do."""
        os.kill(self.strained.process.pid, signal.SIGSTOP)
        time.sleep(1.3)
        os.kill(self.strained.process.pid, signal.SIGCONT)
        time.sleep(0.4)

    def leak(self) -> None:
        """Long uploads that are never finished, and connections that nobody closes."""
        pid = self.leaking.process.pid
        held = len(list(Path(f"/proc/{pid}/fd").iterdir()))
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (held + 100, held + 100))
        for number in range(90):
            connection = socket.create_connection(("127.0.0.1", self.leaking.port), timeout=PATIENCE_S)
            self.connections.append(connection)
            if number < 2:
                connection.sendall(f"POST /classify HTTP/1.1\r\nHost: x\r\nContent-Length: {HELD + 9}\r\n\r\n".encode())
                connection.sendall(bytes(HELD))

    def break_model(self) -> None:
        """Put half a file on disk, and have it loaded."""
        (self.faulty.model / "classifier.onnx").write_bytes(b"half a file")
        self.faulty.process.send_signal(signal.SIGHUP)

    def misuse(self) -> None:
        """Frames that the model fails on, uploads that are no images, and a client without a key."""
        bearer = {"Authorization": f"Bearer {self.key}"}
        self._post(self.faulty, "/classify", encode(STRANGE), bearer)
        for _ in range(3):
            self._post(self.faulty, "/classify", b"no image", bearer)
            self.clients.get(f"{self.faulty.url}/model")

    def _ask(self, frames: list[NDArray[np.uint8]]) -> None:
        self._post(self.well, "/classify/batch", animation("TIFF", frames))
        for frame in frames[:4]:
            self._post(self.well, "/classify", encode(frame))
            self._post(self.well, "/explain", encode(frame))
        self._post(self.well, "/classify", b"no image")

    def _post(self, patient: Patient, path: str, content: bytes, headers: dict[str, str] | None = None) -> None:
        self.clients.post(f"{patient.url}{path}", content=content, headers=headers)
