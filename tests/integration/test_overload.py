"""Under overload, every request gets its own correct answer or a refusal, and no resource leaks."""

import asyncio
import gc
import os
import random
import subprocess
from collections import Counter
from pathlib import Path

import httpx2
import pytest

from bench.servers import running_service
from service.imaging.letterbox import crop_and_letterbox
from service.load_test.connection import Connection, Target
from service.load_test.loops import closed_loop
from service.schemas.manifest import Preprocessing
from tests.support.images import encode, speckle
from tests.support.phantom_package import Phantom
from tests.support.waiting import TIMEOUT_S, eventually

FRAMES = [
    speckle(height, width, seed) for seed, (height, width) in enumerate([(40, 50), (64, 64), (300, 400), (900, 1200)])
]
UPLOADS = [encode(frame) for frame in FRAMES]
CAPACITY = 8
OVERLOAD = 10 * CAPACITY
ROUNDS = 4
SOME = 3  # threads and files that are made when they are first needed; a leak makes hundreds


def test_a_overload_is_answered_rightly_or_refused(phantom: Phantom, phantom_folder: Path) -> None:
    preprocessing = Preprocessing(size=phantom.size, crop="none")
    truths = [phantom.probabilities(crop_and_letterbox(frame, preprocessing)[0]) for frame in FRAMES]
    ends: Counter[str] = Counter()

    async def client(session: httpx2.AsyncClient, url: str, number: int) -> None:
        chance = random.Random(number)
        for turn in range(ROUNDS):
            frame, request_id = chance.randrange(len(FRAMES)), f"{number}.{turn}"
            asked = session.post(f"{url}/classify", content=UPLOADS[frame], headers={"x-request-id": request_id})
            if chance.random() < 0.2:  # leaves midway
                try:
                    async with asyncio.timeout(chance.random() * 0.05):
                        await asked
                except TimeoutError:
                    ends["left"] += 1
                    continue
                ends["answered before it left"] += 1
                continue
            reply = await asked
            body = reply.json()
            assert body["request_id"] == request_id
            if reply.status_code == 503:
                assert (body["code"], reply.headers["retry-after"]) == ("overloaded", "1")
            else:
                assert reply.status_code == 200
                best, truth = body["predictions"][0], truths[frame]
                assert (body["frame"]["height"], body["frame"]["width"]) == FRAMES[frame].shape
                assert best["plane"] == phantom.planes[int(truth.argmax())]
                assert abs(best["probability"] - float(truth.max())) < 1e-5
            ends[str(reply.status_code)] += 1

    async def overload(url: str) -> None:
        limits = httpx2.Limits(max_connections=OVERLOAD)
        async with httpx2.AsyncClient(timeout=TIMEOUT_S, limits=limits) as session:
            await asyncio.gather(*(client(session, url, number) for number in range(OVERLOAD)))

    settings = {"max_requests": str(CAPACITY), "workers": "2"}
    with running_service(phantom_folder, settings, stderr=subprocess.DEVNULL) as (_, url):
        asyncio.run(overload(url))
        assert sum(ends.values()) == OVERLOAD * ROUNDS
        assert ends["200"] >= CAPACITY
        assert ends["503"] > 0
        eventually(lambda: httpx2.get(f"{url}/health").json()["load"]["requests"] == 0)
        load = httpx2.get(f"{url}/health").json()["load"]
        assert (load["queued"], load["busy_workers"], load["held_bytes"]) == (0, 0, 0)
        metrics = httpx2.get(f"{url}/metrics").text
        assert 'status="500"' not in metrics
        assert httpx2.post(f"{url}/classify", content=UPLOADS[0]).status_code == 200


def memory_of(process: subprocess.Popen[str]) -> float:
    """MiB that the process has resident."""
    pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def holds(process: subprocess.Popen[str]) -> tuple[int, int]:
    """Files and threads that the process holds."""
    here = Path(f"/proc/{process.pid}")
    return len(list((here / "fd").iterdir())), len(list((here / "task").iterdir()))


async def send(url: str, count: int) -> None:
    """Send `count` requests from four clients: frames, invalid uploads, and some that disconnect before the answer."""
    target = Target.parse(f"{url}/explain")
    requests = [target.request(upload) for upload in [*UPLOADS[:3], b"nonsense", UPLOADS[1][:200]]]

    async def client(number: int) -> None:
        connection = Connection(target, TIMEOUT_S)
        for turn in range(count // 4):
            if turn % 50 == 49:
                connection.close()
                _, writer = await asyncio.open_connection(target.host, target.port)
                writer.write(requests[0])
                writer.close()
                await writer.wait_closed()
            assert await connection.send(requests[(turn + number) % len(requests)]) in (200, 415, 422)
        connection.close()

    await asyncio.gather(*map(client, range(4)))
    await asyncio.sleep(0)  # in which closed connections come to their end


LONG = os.environ.get("SOAK")
DAYS = pytest.param(20_000, 2_000, 1.10, marks=pytest.mark.skipif(not LONG, reason="long: `make soak` runs it"))


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads /proc")
@pytest.mark.parametrize(("requests", "first", "growth"), [(1_200, 400, 1.25), DAYS])
def test_nothing_piles_up(phantom_folder: Path, requests: int, first: int, growth: float) -> None:
    with running_service(phantom_folder, {"workers": "2"}, stderr=subprocess.DEVNULL) as (process, url):
        asyncio.run(send(url, first))
        eventually(lambda: httpx2.get(f"{url}/health").json()["load"]["requests"] == 0)
        before, held = memory_of(process), holds(process)
        asyncio.run(send(url, requests - first))
        eventually(lambda: httpx2.get(f"{url}/health").json()["load"]["requests"] == 0)
        eventually(lambda: holds(process)[0] <= held[0] + SOME)
        after = memory_of(process)
        print(f"\n{first} requests: {before:.1f} MiB; {requests}: {after:.1f} MiB; files and threads {holds(process)}")  # noqa: T201
        assert holds(process)[1] <= held[1] + SOME
        assert after < before * growth
    gc.collect()


def test_refusals_are_quick_while_all_workers_are_busy(phantom_folder: Path) -> None:
    settings = {"workers": "1", "max_requests": "2"}
    with running_service(phantom_folder, settings, stderr=subprocess.DEVNULL) as (_, url):
        sample = asyncio.run(closed_loop(Target.parse(f"{url}/classify"), UPLOADS[3:], 12, 2, without_back_off=True))
        times: dict[int, list[float]] = {200: [], 503: []}
        for status, seconds in zip(sample.statuses, sample.seconds, strict=True):
            times[status].append(seconds)  # a KeyError is a reply that was neither
        assert len(times[200]) > 2
        assert len(times[503]) > 2
