"""Hostile uploads get a documented answer, and cost the service neither its memory nor its neighbors their answers."""

import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import httpx2
import pytest
from fastapi.testclient import TestClient

from bench.decoder_memory.process_memory import status_bytes, tree
from bench.hostile.attacks import Attack, attacks, send
from bench.servers import RunningService, running_service
from service.execution.decoders.decoder import HAS_PROCESSES
from tests.support.hostile import HOSTILE
from tests.support.images import encode, speckle
from tests.support.phantom_package import Phantom
from tests.support.replies import assert_problem
from tests.support.waiting import eventually

pytestmark = pytest.mark.skipif(not HAS_PROCESSES, reason="needs Linux")

MIB = 2**20
DEADLINE_S = 60
GOOD = encode(speckle())
SLOW_JPEG = "jpeg-99-color-scans"
PEAK = 1024 * MIB  # of the service itself: 384 with the model at work, four forms of up to 70, frames of 32 megapixels


@pytest.fixture(scope="module")
def hostile() -> dict[str, bytes]:
    return {name: make() for name, make in HOSTILE.items()}


@pytest.fixture(scope="module")
def server(phantom_folder: Path) -> Iterator[RunningService]:
    settings = {"workers": "2", "max_decode_s": "1", "upload_s": "2", "deadline_s": str(DEADLINE_S)}
    with running_service(phantom_folder, settings, stderr=subprocess.DEVNULL) as server:
        yield server


def test_a_file_that_takes_too_long_is_refused(serve: Callable[..., TestClient], phantom: Phantom) -> None:
    client, slow = serve(phantom, max_decode_s=0.3), HOSTILE[SLOW_JPEG]()
    assert_problem(client.post("/classify", content=slow), "decode-limit")
    assert_problem(client.post("/explain", content=slow), "decode-limit")
    assert client.post("/classify", content=GOOD).status_code == 200
    assert 'decoder_endings_total{reason="cpu-time"} 2.0' in client.get("/metrics").text


def test_a_batch_reports_a_slow_file_on_its_line(serve: Callable[..., TestClient], phantom: Phantom) -> None:
    client, slow = serve(phantom, max_decode_s=0.3), HOSTILE[SLOW_JPEG]()
    reply = client.post("/classify/batch", files=[("files", ("slow.jpg", slow)), ("files", ("good.png", GOOD))])
    assert "decode-limit" in reply.text.splitlines()[0]
    assert "predictions" in reply.text.splitlines()[1]


@pytest.mark.slow
def test_every_answer_is_documented_and_the_memory_stays(server: RunningService, hostile: dict[str, bytes]) -> None:
    process, url = server
    assert httpx2.post(f"{url}/classify", content=GOOD).status_code == 200
    processes = len(list(tree(process.pid)))
    # One endpoint for each file, and files together; `bench.hostile` sends everything everywhere.
    some = (each for each in attacks(hostile) if each.path in ("/classify", "/exam") and "forty" not in each.name)
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(partial(send, url), some))
    assert [each for each in answers if not each.documented or each.seconds > DEADLINE_S + 1] == []
    assert httpx2.post(f"{url}/classify", content=GOOD).status_code == 200
    assert status_bytes(process.pid, "VmHWM") < PEAK
    assert process.poll() is None
    eventually(lambda: len(list(tree(process.pid))) <= processes + 1)


@pytest.mark.parametrize("name", ["png-data-length-4gib", "j2k-precincts-2x2", "jpeg-empty-segments"])
def test_the_worst_files_of_the_first_attack_are_refused(client: TestClient, name: str) -> None:
    assert_problem(client.post("/classify", content=HOSTILE[name]()), "unreadable-frame")


def test_a_slow_sender_is_refused(server: RunningService) -> None:
    answer = send(server.url, Attack("slow", "/classify", bytes(1000), {}, pause_s=0.5))
    assert (answer.status, answer.code) == (408, "upload-too-slow")
