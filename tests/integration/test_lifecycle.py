"""A service that is replaced, reloaded and held up, as a process of its own: no request is lost, none waits in vain."""

import hashlib
import json
import shutil
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx2
import numpy as np

from bench.servers import RunningService, running_service
from service.api_keys import new_key
from service.imaging.letterbox import crop_and_letterbox
from service.schemas.manifest import Preprocessing
from tests.support.images import encode, speckle
from tests.support.phantom_package import Phantom
from tests.support.waiting import TIMEOUT_S, eventually

FRAMES = [speckle(60 + seed, 80, seed) for seed in range(6)]
UPLOADS = [encode(frame) for frame in FRAMES]

logs: list[str] = []
"""What each server of this module wrote, once it has ended."""


@contextmanager
def running(folder: Path, **settings: str) -> Iterator[RunningService]:
    with tempfile.TemporaryFile("w+") as log:  # a pipe that nobody reads would fill, and stop the server
        try:
            with running_service(folder, settings, stderr=log.fileno()) as service:
                yield service
        finally:
            log.seek(0)
            logs.append(log.read())


def right(reply: httpx2.Response, phantom: Phantom, number: int) -> bool:
    """Whether a reply is the answer to frame `number` and to no other."""
    preprocessing = Preprocessing(size=phantom.size, crop="none")
    truth = phantom.probabilities(crop_and_letterbox(FRAMES[number], preprocessing)[0])
    body = reply.json()
    best = body["predictions"][0]
    height, width = FRAMES[number].shape
    return bool(
        reply.status_code == 200
        and (body["frame"]["width"], body["frame"]["height"]) == (width, height)
        and best["plane"] == phantom.planes[int(truth.argmax())]
        and abs(best["probability"] - float(truth.max())) < 1e-5
    )


def test_kill_term_under_load_loses_nothing(phantom: Phantom, phantom_folder: Path) -> None:
    begun = threading.Event()
    with running(phantom_folder, drain_s="2") as (process, url):

        def ask_until_reported_to_leave(client: int) -> int:
            with httpx2.Client(timeout=TIMEOUT_S) as session:
                for count in range(100_000):
                    number = (client + count) % len(UPLOADS)
                    reply = session.post(f"{url}/classify", content=UPLOADS[number])
                    assert right(reply, phantom, number)
                    begun.set()
                    if reply.headers.get("connection") == "close":
                        return count + 1
            raise AssertionError("never reported to leave")

        with ThreadPoolExecutor(8) as threads:
            clients = [threads.submit(ask_until_reported_to_leave, each) for each in range(8)]
            assert begun.wait(TIMEOUT_S)
            process.send_signal(signal.SIGTERM)
            eventually(lambda: httpx2.get(f"{url}/health/ready").status_code == 503)
            assert httpx2.get(f"{url}/health/live").status_code == 200
            assert right(
                httpx2.post(f"{url}/classify", content=UPLOADS[0]), phantom, 0
            )  # late, and served all the same
            assert all(each.result() > 0 for each in clients)
        assert process.wait(TIMEOUT_S) == 0


def test_an_upload_under_way_at_the_end_is_answered(phantom: Phantom, phantom_folder: Path) -> None:
    with running(phantom_folder) as (process, url):
        host, port = url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=TIMEOUT_S) as connection:
            head = f"POST /classify HTTP/1.1\r\nHost: x\r\nContent-Length: {len(UPLOADS[1])}\r\n\r\n"
            connection.sendall(head.encode() + UPLOADS[1][:100])
            eventually(lambda: "uploads_held_bytes 100.0" in httpx2.get(f"{url}/metrics").text)
            process.send_signal(signal.SIGTERM)
            eventually(lambda: not accepts(host, int(port)))
            connection.sendall(UPLOADS[1][100:])
            reply = b"".join(iter(lambda: connection.recv(65536), b""))
        assert reply.startswith(b"HTTP/1.1 200 ")
        assert json.loads(reply.partition(b"\r\n\r\n")[2])["frame"]["height"] == FRAMES[1].shape[0]
        assert process.wait(TIMEOUT_S) == 0


def accepts(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=TIMEOUT_S).close()
    except OSError:
        return False
    return True


def replace_package(folder: Path, made: Callable[[Path], Path]) -> None:
    fresh = made(folder.with_name("fresh"))
    for path in fresh.iterdir():
        shutil.copy(path, folder / path.name)
    shutil.rmtree(fresh)


def digest(folder: Path) -> str:
    return hashlib.sha256((folder / "model.json").read_bytes()).hexdigest()


def test_hang_up_switches_the_model_and_refuses_a_bad_one(phantom: Phantom, tmp_path: Path) -> None:
    folder = phantom.write(tmp_path / "model")
    key, line = new_key("ward")
    keys = tmp_path / "keys"
    keys.write_text(line)
    other = Phantom(planes=tuple(reversed(phantom.planes)))
    bearer = {"Authorization": f"Bearer {key}"}
    with running(folder, api_keys=str(keys)) as (process, url), httpx2.Client(timeout=TIMEOUT_S) as session:

        def reloads(result: str) -> bool:
            text = session.get(f"{url}/metrics", headers=bearer).text
            return f'fetal_planes_reloads_total{{result="{result}"}} 1.0' in text

        def answered_by(model: Phantom) -> bool:
            return right(session.post(f"{url}/classify", content=UPLOADS[2], headers=bearer), model, 2)

        before = session.get(f"{url}/health").json()["model"]
        assert answered_by(phantom)
        (folder / "classifier.onnx").write_bytes(b"half a file")
        process.send_signal(signal.SIGHUP)
        eventually(lambda: reloads("refused"))
        assert answered_by(phantom)
        assert session.get(f"{url}/health").json()["model"] == before

        replace_package(folder, other.write)
        process.send_signal(signal.SIGHUP)
        eventually(lambda: reloads("switched"))
        assert answered_by(other)
        assert session.get(f"{url}/health").json()["model"]["sha256"] != before["sha256"]
        assert session.get(f"{url}/model", headers=bearer).json()["planes"][0]["id"] == other.planes[0]

        process.send_signal(signal.SIGHUP)
        eventually(lambda: reloads("unchanged"))
        keys.write_text(new_key("another")[1])
        process.send_signal(signal.SIGHUP)
        eventually(lambda: session.post(f"{url}/classify", content=UPLOADS[2], headers=bearer).status_code == 401)
        process.send_signal(signal.SIGTERM)
        assert process.wait(TIMEOUT_S) == 0
    assert "reload refused; the old model and keys stay in use" in logs[-1]
    assert key not in logs[-1]


def test_a_model_may_change_under_load(phantom: Phantom, tmp_path: Path) -> None:
    folder = phantom.write(tmp_path / "model")
    later = Phantom(planes=tuple(reversed(phantom.planes)))
    models = {digest(folder): phantom, digest(later.write(tmp_path / "later")): later}
    first, second = models
    end, seen = threading.Event(), set[str]()
    with running(folder) as (process, url):

        def ask(client: int) -> None:
            with httpx2.Client(timeout=TIMEOUT_S) as session:
                number = client % len(UPLOADS)
                while not end.is_set():
                    reply = session.post(f"{url}/classify", content=UPLOADS[number])
                    model = reply.json()["model"]["sha256"]
                    assert right(reply, models[model], number)  # by the model that it names, whole
                    seen.add(model)

        with ThreadPoolExecutor(4) as threads:
            clients = [threads.submit(ask, each) for each in range(4)]
            try:
                eventually(lambda: first in seen)
                replace_package(folder, later.write)
                process.send_signal(signal.SIGHUP)
                eventually(lambda: second in seen)
            finally:
                end.set()
            for each in clients:
                each.result()


def test_heads_that_never_come_are_hung_up_on_and_starve_nobody(phantom: Phantom, phantom_folder: Path) -> None:
    with running(phantom_folder, upload_s="1.5") as (_, url):
        host, port = url.removeprefix("http://").split(":")
        idle = [socket.create_connection((host, int(port)), timeout=TIMEOUT_S) for _ in range(60)]
        for number, connection in enumerate(idle):
            head = b"POST /classify HTTP/1.1\r\nHost: x\r\n"
            connection.sendall((b"", b"GE", head, head + b"Content-Length: 5000\r\n\r\n\x89")[number % 4])
        for number in range(5):
            assert right(httpx2.post(f"{url}/classify", content=UPLOADS[number]), phantom, number)
        ends = np.array([ending(connection) for connection in idle])
        assert set(ends[0::4]) | set(ends[1::4]) | set(ends[2::4]) == {b""}
        assert all(end.startswith(b"HTTP/1.1 408 ") for end in ends[3::4])
        assert right(httpx2.post(f"{url}/classify", content=UPLOADS[0]), phantom, 0)


def ending(connection: socket.socket) -> bytes:
    """All that comes before the other side hangs up."""
    with connection:
        try:
            return b"".join(iter(lambda: connection.recv(65536), b""))
        except ConnectionResetError:
            return b""


def test_a_second_signal_ends_the_draining(phantom_folder: Path) -> None:
    with running(phantom_folder, drain_s="600") as (process, url):
        process.send_signal(signal.SIGTERM)
        eventually(lambda: httpx2.get(f"{url}/health/ready").status_code == 503)
        time.sleep(0.3)
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait(TIMEOUT_S) == 0
