"""Good files, hostile files and killed decoders for some minutes: memory, files and processes stay the same."""

import itertools
import os
import random
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

import httpx2
import pytest

from bench.decoder_memory.process_memory import Usage, tree, usage
from bench.hostile.attacks import Answer, Attack, form, send
from bench.servers import running_service
from service.execution.decoders.decoder import HAS_PROCESSES
from tests.support.hostile import HOSTILE
from tests.support.images import encode, speckle
from tests.support.mutants import is_slow
from tests.support.waiting import eventually

MINUTES = float(os.environ.get("SOAK_MINUTES", "30" if os.environ.get("SOAK") else "0.2"))
CLIENTS = 4
GROWTH = 1.1  # of the memory of all processes
OF_DECODER = 24 * 2**20  # bytes of a decoder more than before: two or three wait for work
FILES = 24  # of that decoder, on both sides, and some that are opened when they are first needed
GOOD = [encode(speckle(*size), kind) for size in ((60, 80), (300, 400), (600, 800)) for kind in ("PNG", "JPEG")]
FORM = {"Content-Type": "multipart/form-data; boundary=XB"}


@cache
def hostile_files() -> list[bytes]:
    """Return the files of less than a megabyte; a short run leaves out those that take seconds."""
    names = [name for name in HOSTILE if MINUTES > 1 or not is_slow(name)]
    return [data for name in names if len(data := HOSTILE[name]()) < 2**20]


def requests(seed: int) -> Iterator[Attack]:
    """Half good, half hostile, in a random order, without end."""
    rng, hostile = random.Random(seed), hostile_files()
    while True:
        good = rng.random() < 0.5
        data = rng.choice(GOOD if good else hostile)
        path = rng.choice(["/classify", "/classify", "/explain", "/frame", "/classify/batch", "/exam"])
        if path in ("/classify/batch", "/exam"):
            yield Attack("files", path, form([data, rng.choice(GOOD)]), FORM)
        else:
            yield Attack("good" if good else "hostile", path, data, {})


@contextmanager
def killing(process: int, every_s: float = 0.5) -> Iterator[None]:
    """Kill a random decoder every half second within the block."""
    rng, done = random.Random(0), threading.Event()

    def kill() -> None:
        while not done.wait(every_s):
            decoders = list(tree(process))[2:]  # behind the service and the fork server
            if decoders:
                with suppress(ProcessLookupError):
                    os.kill(rng.choice(decoders), signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def load(url: str, seconds: float, seed: int) -> list[Answer]:
    """Send requests from several clients for some time."""
    hostile_files()  # before the time starts
    ends, lock, source = time.monotonic() + seconds, threading.Lock(), requests(seed)

    def client(_: int) -> list[Answer]:
        answers = []
        while time.monotonic() < ends:
            with lock:
                request = next(source)
            answers.append(send(url, request))
        return answers

    with ThreadPoolExecutor(CLIENTS) as threads:
        return list(itertools.chain.from_iterable(threads.map(client, range(CLIENTS))))


def at_rest(url: str, process: int) -> Usage:
    eventually(lambda: httpx2.get(f"{url}/health").json()["load"]["requests"] == 0)
    with ThreadPoolExecutor(CLIENTS) as threads:  # the decoders that were killed last start again
        list(threads.map(lambda data: send(url, Attack("good", "/classify", data, {})), 4 * GOOD))
    time.sleep(0.5)  # in which decoders end
    return usage(process)


@pytest.mark.slow
@pytest.mark.skipif(not HAS_PROCESSES, reason="needs Linux")
def test_nothing_piles_up_under_mixed_load(phantom_folder: Path) -> None:
    settings = {"workers": "2", "max_decode_s": "2"}
    with running_service(phantom_folder, settings, stderr=subprocess.DEVNULL) as (process, url):
        with killing(process.pid):
            answers = load(url, 60 * MINUTES / 4, seed=0)
        before = at_rest(url, process.pid)
        with killing(process.pid):
            answers += load(url, 60 * MINUTES * 3 / 4, seed=1)
        after = at_rest(url, process.pid)
        statuses = Counter(f"{each.name} {each.status} {each.code}" for each in answers)
        print(f"\n{len(answers)} requests: {before}, then {after}; {statuses}")  # noqa: T201
        assert all(each.documented for each in answers), statuses
        refused = [each for each in answers if each.name == "good" and each.status != 200]
        assert not refused
        assert after.pss < before.pss * GROWTH + OF_DECODER
        assert after.descriptors <= before.descriptors + FILES
        assert after.processes <= before.processes + 1
        assert process.poll() is None
