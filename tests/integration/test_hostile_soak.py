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

MINUTES = float(os.environ.get("FETAL_PLANES_SOAK_MINUTES", "30" if os.environ.get("FETAL_PLANES_SOAK") else "0.2"))
CLIENTS = 4
GROWTH = 1.1  # of the memory of all processes
IN_DECODERS = 64 * 2**20  # bytes of three decoders, which may be missing before
SOME = 4  # files and processes that are made when they are first needed; a leak makes hundreds
OF_DECODERS = 3 * 16  # files of three decoders, on both sides: those that were killed last may be missing before
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
            answers += load(url, 60 * MINUTES * 3 / 4, seed=1)
        after = at_rest(url, process.pid)
        statuses = Counter(f"{each.name} {each.status} {each.code}" for each in answers)
        print(f"\n{len(answers)} requests: {before}, then {after}; {statuses}")  # noqa: T201
        assert all(each.documented for each in answers), statuses
        # A kill repeats a frame; two kills in a row refuse it. Nothing else may cost a good file its answer.
        refused = [each for each in answers if each.name == "good" and each.status != 200]
        assert all(each.code == "decode-limit" for each in refused), refused
        assert len(refused) <= max(1, len(answers) // 100)
        assert after.pss < before.pss * GROWTH + IN_DECODERS
        assert after.descriptors <= before.descriptors + SOME + OF_DECODERS
        assert after.processes <= before.processes + SOME
        assert process.poll() is None
