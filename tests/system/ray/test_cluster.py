"""Two Ray nodes on one machine: requests and an archive job across both, and one of them killed in the middle."""

import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx2
import pytest

if find_spec("ray") is None:  # to import it here would warn
    pytest.skip("the extra `ray` is not installed", allow_module_level=True)

from service.analysis.pipeline import Pipeline
from service.imaging.frame import DEFAULT_LIMITS
from service.inference.engine import Engine
from service.jobs.tables.listing import ShardSize
from service.jobs.tables.shard import TableJob
from service.jobs.tables.table_job import export_table
from tests.integration.test_serve import free_port
from tests.support.images import encode, speckle
from tests.system.ray.cluster import HEAD, SECOND, Cluster, descendants, listening, wait_until
from tests.system.ray.trees import parts_of, plant, table_of

STILLS = 800
SHARD_FILES = 4
CLIENTS = 3


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    before = set(descendants(os.getpid()))
    with Cluster() as running:
        yield running
    assert set(descendants(os.getpid())) <= before


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return plant(tmp_path_factory.mktemp("tree"), STILLS)


@pytest.fixture(scope="module")
def plain(tree: Path, phantom_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The table that one machine makes without Ray."""
    out = tmp_path_factory.mktemp("plain") / "out"
    export_table(TableJob(str(tree), str(out), phantom_folder, 2), DEFAULT_LIMITS, ShardSize(SHARD_FILES, 256 * 2**20))
    return out


@dataclass
class Asking:
    """Clients that ask without a pause, and keep whatever they are answered."""

    url: str
    frames: list[bytes]
    answers: list[tuple[int, httpx2.Response]] = field(default_factory=list)
    broken: list[Exception] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(number,)) for number in range(CLIENTS)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def served(self) -> int:
        return sum(reply.status_code == 200 for _, reply in self.answers)

    def _ask(self, number: int) -> None:
        with httpx2.Client(timeout=60) as client:
            while not self._over.is_set():
                number = (number + 1) % len(self.frames)
                try:
                    reply = client.post(f"{self.url}/classify", content=self.frames[number])
                    self.answers.append((number, reply))
                except httpx2.TransportError as error:
                    self.broken.append(error)


def test_a_node_is_killed_under_requests_and_an_archive_job(
    cluster: Cluster, engine: Engine, phantom_folder: Path, tree: Path, plain: Path, tmp_path: Path
) -> None:
    url = _serve(cluster, phantom_folder)
    assert httpx2.get(f"{url}/health/ready", timeout=60).json() == {"status": "ready"}
    frames = [encode(speckle(seed=seed)) for seed in range(8)]
    asking = Asking(url, frames)
    try:
        job = _archive(cluster, tree, tmp_path / "out", phantom_folder)
        wait_until(lambda: (parts_of(tmp_path / "out") >= 10 and asking.served() >= 20) or job.poll() is not None)
        wait_until(lambda: any("_work" in title for title in cluster.workers_of(SECOND)) or job.poll() is not None)
        assert any("fetal-planes" in title for title in cluster.workers_of(SECOND))  # a replica
        assert job.poll() is None, job.communicate()[1]
        assert parts_of(tmp_path / "out") < parts_of(plain)
        cluster.kill(SECOND)
        served = asking.served()
        _, errors = job.communicate(timeout=240)
        assert job.returncode == 1, errors  # there are files that are refused
        wait_until(lambda: asking.served() >= served + 20)
    finally:
        asking.stop()
    assert table_of(tmp_path / "out").equals(table_of(plain))
    assert not asking.broken
    _check_answers(asking, frames, Pipeline(engine, DEFAULT_LIMITS))
    _check_overload(url, frames)


def test_the_driver_is_killed_and_its_run_goes_on(
    cluster: Cluster, phantom_folder: Path, tree: Path, plain: Path, tmp_path: Path
) -> None:
    job = _archive(cluster, tree, tmp_path / "out", phantom_folder)
    wait_until(lambda: parts_of(tmp_path / "out") >= 10 or job.poll() is not None)
    os.killpg(job.pid, signal.SIGKILL)
    job.communicate()
    assert job.returncode == -signal.SIGKILL
    assert 10 <= parts_of(tmp_path / "out") < parts_of(plain)
    job = _archive(cluster, tree, tmp_path / "out", phantom_folder)
    _, errors = job.communicate(timeout=240)
    assert job.returncode == 1, errors
    assert table_of(tmp_path / "out").equals(table_of(plain))


def _serve(cluster: Cluster, model: Path) -> str:
    port = free_port()
    scale = '{"min_replicas": 2, "max_replicas": 2, "replicas_a_node": 1, "queued": 4}'
    deploy = cluster.python("-m", "tests.system.ray.serving", cluster.address, str(port), str(model), scale)
    _, errors = deploy.communicate(timeout=240)
    assert deploy.returncode == 0, errors
    wait_until(lambda: listening(port))
    return f"http://{HEAD}:{port}"


def _archive(cluster: Cluster, tree: Path, out: Path, model: Path) -> Any:
    command = ["-m", "service.cli", "archive", str(tree), str(out), "--model", str(model), "--ray", cluster.address]
    return cluster.python(*command, "--shard-files", str(SHARD_FILES))


def _check_answers(asking: Asking, frames: list[bytes], pipeline: Pipeline) -> None:
    """Every request has one answer: the right one, or a refusal as the service tells it."""
    best = [float(pipeline.classify(frame).scores.probabilities.max()) for frame in frames]
    for number, reply in asking.answers:
        if reply.status_code == 200:
            assert reply.json()["predictions"][0]["probability"] == pytest.approx(best[number], abs=1e-5)
        else:
            _check_refusal(reply)


def _check_refusal(reply: httpx2.Response) -> None:
    assert (reply.status_code, reply.headers["content-type"]) == (503, "application/problem+json"), reply.text
    assert reply.json()["code"] in {"overloaded", "not-ready"}
    assert int(reply.headers["retry-after"]) >= 1


def _check_overload(url: str, frames: list[bytes]) -> None:
    """More than replica and queue take in is refused by the proxy, in the service's own words; nothing else is."""
    with ThreadPoolExecutor(60) as many:
        replies = list(
            many.map(lambda each: httpx2.post(f"{url}/classify", content=frames[each % 8], timeout=60), range(240))
        )
    refused = [reply for reply in replies if reply.status_code != 200]
    for reply in refused:
        _check_refusal(reply)
    assert 0 < len(refused) < len(replies)
    assert any("so is the queue" in reply.json()["detail"] for reply in refused)
