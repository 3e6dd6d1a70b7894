"""One service for each kind of fault, and the functions that cause the faults."""

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
from service.api_keys import new_key
from tests.support.images import animation, encode, speckle
from tests.support.phantom_package import Phantom
from tests.system.monitoring.watched import TIMEOUT_S, Job, until, write_brittle

PHANTOM = Phantom(max_ood_score=0.6)
TILE = PHANTOM.kernels[:, 0] > 0
USUAL = [np.tile(np.where(TILE[kernel], 60, 0).astype(np.uint8), (8, 8)) for kernel in (0, 2)]
"""Frames of two planes: each is predicted with confidence and in distribution."""
STRANGE = np.full((64, 64), 255, np.uint8)
"""A frame of a third plane: it is predicted with less confidence and out of distribution."""
LARGE = encode(speckle(1800, 2400))
MANY = 40  # frames of a batch
HELD = 60 * 2**20


class WatchedService:
    """A service in a process of its own, which faults are caused in."""

    def __init__(self, name: str, model: Path, key_file: Path, **settings: str) -> None:
        self.name, self.model, self.settings = name, model, settings
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.job = Job(name, (self.port,), key_file)
        self.process = self._start()

    def _start(self) -> Popen[str]:
        return start_service(self.model, self.port, self.settings, stderr=DEVNULL)

    def restart(self) -> None:
        """Kill the process and start the service again."""
        self.process.kill()
        self.process.wait()
        self.process = self._start()
        self.wait()

    def wait(self) -> None:
        """Wait until it is ready."""
        until(self._ready, f"{self.name} to be ready")

    def _ready(self) -> bool:
        try:
            return httpx2.get(f"{self.url}/health/ready").status_code == 200
        except httpx2.TransportError:
            return False


@contextmanager
def repeating(*actions: Callable[[], None]) -> Iterator[None]:
    """Repeat each of the actions, in parallel, until the end of the block."""
    end = threading.Event()

    def repeat(action: Callable[[], None]) -> None:
        while not end.is_set():
            action()
            end.wait(0.1)  # a busy loop would only load the machine

    with ThreadPoolExecutor(len(actions)) as threads:
        under_way = [threads.submit(repeat, action) for action in actions]
        try:
            yield
        finally:
            end.set()
        for each in under_way:
            each.result()


class FaultyServices:
    """One healthy service, whose frames change later, and three that get other faults."""

    def __init__(self, folder: Path) -> None:
        none = folder / "no-key"
        none.write_text("")
        self.key, line = new_key("prometheus")
        (folder / "keys").write_text(line)
        (key_file := folder / "key").write_text(self.key)
        model = PHANTOM.write(folder / "model")
        self.healthy = WatchedService("fetal-planes", model, none, workers="2")
        self.overloaded = WatchedService("overloaded", model, none, workers="1", max_requests="4")
        limits = {"max_upload_bytes": str(2 * HELD), "max_held_bytes": str(round(2.4 * HELD)), "upload_s": "600"}
        self.leaking = WatchedService("leaking", model, none, **limits)
        brittle = write_brittle(folder / "brittle")
        keys = str(folder / "keys")
        self.faulty = WatchedService("faulty", brittle, key_file, api_keys=keys, drain_s="600")
        self.services = [self.healthy, self.overloaded, self.leaking, self.faulty]
        self.jobs = [each.job for each in self.services]
        self.jobs.append(Job("mixed", (self.healthy.port, self.faulty.port), key_file))
        self.clients = httpx2.Client(timeout=TIMEOUT_S, limits=httpx2.Limits(max_connections=20))
        self.connections: list[socket.socket] = []

    def wait(self) -> None:
        """Wait until all services are ready."""
        for each in self.services:
            each.wait()

    def close(self) -> None:
        """End all services and clients."""
        self.clients.close()
        for connection in self.connections:
            connection.close()
        for each in self.services:
            each.process.kill()
            each.process.wait()

    def send_usual_frames(self) -> None:
        """Send what a department sends all day, with one upload that cannot be decoded."""
        self._send(USUAL * (MANY // 2))

    def send_unusual_frames(self) -> None:
        """Send frames of another kind, as a new scanner or a transducer that is left on would."""
        self._send([STRANGE] * MANY)

    def send_without_back_off(self) -> None:
        """Send requests without a pause; several clients do this, more than the service has slots for."""
        for _ in range(5):
            self._post(self.overloaded, "/classify", LARGE)

    def send_with_deadline(self) -> None:
        """Send a request that must be answered within half a second."""
        self._post(self.overloaded, "/classify", LARGE, {"X-Deadline-Ms": "500"})

    def stall(self) -> None:
        """Stop the process for a second, as a busy machine would."""
        os.kill(self.overloaded.process.pid, signal.SIGSTOP)
        time.sleep(1.3)
        os.kill(self.overloaded.process.pid, signal.SIGCONT)
        time.sleep(0.4)

    def leak(self) -> None:
        """Open connections that are never closed, two of them with long uploads that never end."""
        pid = self.leaking.process.pid
        held = len(list(Path(f"/proc/{pid}/fd").iterdir()))
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (held + 100, held + 100))
        for number in range(90):
            connection = socket.create_connection(("127.0.0.1", self.leaking.port), timeout=TIMEOUT_S)
            self.connections.append(connection)
            if number < 2:
                connection.sendall(f"POST /classify HTTP/1.1\r\nHost: x\r\nContent-Length: {HELD + 9}\r\n\r\n".encode())
                connection.sendall(bytes(HELD))

    def break_model(self) -> None:
        """Write a truncated model file and make the service reload it."""
        (self.faulty.model / "classifier.onnx").write_bytes(b"half a file")
        self.faulty.process.send_signal(signal.SIGHUP)

    def misuse(self) -> None:
        """Send frames that the model fails on, uploads that cannot be decoded, and requests without a key."""
        bearer = {"Authorization": f"Bearer {self.key}"}
        self._post(self.faulty, "/classify", encode(STRANGE), bearer)
        for _ in range(3):
            self._post(self.faulty, "/classify", b"no image", bearer)
            self.clients.get(f"{self.faulty.url}/model")

    def _send(self, frames: list[NDArray[np.uint8]]) -> None:
        self._post(self.healthy, "/classify/batch", animation("TIFF", frames))
        for frame in frames[:4]:
            self._post(self.healthy, "/classify", encode(frame))
            self._post(self.healthy, "/explain", encode(frame))
        self._post(self.healthy, "/classify", b"no image")

    def _post(self, service: WatchedService, path: str, content: bytes, headers: dict[str, str] | None = None) -> None:
        self.clients.post(f"{service.url}{path}", content=content, headers=headers)
