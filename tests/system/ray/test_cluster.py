"""Two Ray nodes on one machine serve requests and run a table job; one node is killed in the middle."""

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

if find_spec("ray") is None:  # importing it here would warn
    pytest.skip("the extra `ray` is not installed", allow_module_level=True)

from bench.servers import free_port
from service.analysis.pipeline import Pipeline
from service.execution.decoders.fork_server import fork_server
from service.imaging.frame import DEFAULT_LIMITS
from service.inference.engine import Engine
from service.jobs.tables.export import export_table
from service.jobs.tables.plan import ShardSize
from service.jobs.tables.shard import TableJob
from tests.support.images import encode, speckle
from tests.support.ray_cluster import HEAD, SECOND, Cluster, descendants, listening, wait_until
from tests.support.table_inputs import part_paths, read_table, write_stills

STILLS = 800
SHARD_FILES = 4
NUM_CLIENTS = 3


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    fork_server().start()  # the decoders of this process stay
    before = set(descendants(os.getpid()))
    with Cluster() as running:
        yield running
    assert set(descendants(os.getpid())) <= before


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_stills(tmp_path_factory.mktemp("tree"), STILLS)


@pytest.fixture(scope="module")
def plain(tree: Path, phantom_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The table that one machine writes without Ray."""
    out = tmp_path_factory.mktemp("plain") / "out"
    export_table(TableJob(str(tree), str(out), phantom_folder, 2), DEFAULT_LIMITS, ShardSize(SHARD_FILES, 256 * 2**20))
    return out


@dataclass
class Clients:
    """Clients that send requests without a pause and keep every answer."""

    url: str
    frames: list[bytes]
    answers: list[tuple[int, httpx2.Response]] = field(default_factory=list)
    failures: list[Exception] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._stopped = threading.Event()
        self._threads = [threading.Thread(target=self._send, args=(number,)) for number in range(NUM_CLIENTS)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    def served(self) -> int:
        return sum(reply.status_code == 200 for _, reply in self.answers)

    def _send(self, number: int) -> None:
        with httpx2.Client(timeout=60) as client:
            while not self._stopped.is_set():
                number = (number + 1) % len(self.frames)
                try:
                    reply = client.post(f"{self.url}/classify", content=self.frames[number])
                    self.answers.append((number, reply))
                except httpx2.TransportError as error:
                    self.failures.append(error)


def test_a_node_is_killed_under_requests_and_a_table_job(
    cluster: Cluster, engine: Engine, phantom_folder: Path, tree: Path, plain: Path, tmp_path: Path
) -> None:
    url = _serve(cluster, phantom_folder)
    assert httpx2.get(f"{url}/health/ready", timeout=60).json() == {"status": "ready"}
    frames = [encode(speckle(seed=seed)) for seed in range(8)]
    clients = Clients(url, frames)
    out = tmp_path / "out"
    try:
        job = _start_table(cluster, tree, out, phantom_folder)
        wait_until(lambda: (len(part_paths(out)) >= 10 and clients.served() >= 20) or job.poll() is not None)
        wait_until(lambda: any("_work" in title for title in cluster.workers_of(SECOND)) or job.poll() is not None)
        assert any("fetal-planes" in title for title in cluster.workers_of(SECOND))  # a replica
        assert job.poll() is None, job.communicate()[1]
        assert len(part_paths(out)) < len(part_paths(plain))
        cluster.kill(SECOND)
        served = clients.served()
        _, errors = job.communicate(timeout=240)
        assert job.returncode == 1, errors  # two files are refused
        wait_until(lambda: clients.served() >= served + 20)
    finally:
        clients.stop()
    assert read_table(out).equals(read_table(plain))
    assert not clients.failures
    _check_answers(clients, frames, Pipeline(engine, DEFAULT_LIMITS))
    _check_overload(url, frames)


def test_a_job_continues_after_its_driver_is_killed(
    cluster: Cluster, phantom_folder: Path, tree: Path, plain: Path, tmp_path: Path
) -> None:
    job = _start_table(cluster, tree, tmp_path / "out", phantom_folder)
    wait_until(lambda: len(part_paths(tmp_path / "out")) >= 10 or job.poll() is not None)
    os.killpg(job.pid, signal.SIGKILL)
    job.communicate()
    assert job.returncode == -signal.SIGKILL
    assert 10 <= len(part_paths(tmp_path / "out")) < len(part_paths(plain))
    job = _start_table(cluster, tree, tmp_path / "out", phantom_folder)
    _, errors = job.communicate(timeout=240)
    assert job.returncode == 1, errors
    assert read_table(tmp_path / "out").equals(read_table(plain))


def _serve(cluster: Cluster, model: Path) -> str:
    port = free_port()
    scale = '{"min_replicas": 2, "max_replicas": 2, "max_replicas_per_node": 1, "max_queued_requests": 4}'
    deploy = cluster.python("-m", "tests.system.ray.serving", cluster.address, str(port), str(model), scale)
    _, errors = deploy.communicate(timeout=240)
    assert deploy.returncode == 0, errors
    wait_until(lambda: listening(port))
    return f"http://{HEAD}:{port}"


def _start_table(cluster: Cluster, tree: Path, out: Path, model: Path) -> Any:
    command = ["-m", "service.cli", "table", str(tree), str(out), "--model", str(model), "--ray", cluster.address]
    return cluster.python(*command, "--shard-files", str(SHARD_FILES))


def _check_answers(clients: Clients, frames: list[bytes], pipeline: Pipeline) -> None:
    """Check that every answer is right, or a refusal in the form of the service."""
    best = [float(pipeline.classify(frame).scores.probabilities.max()) for frame in frames]
    for number, reply in clients.answers:
        if reply.status_code == 200:
            assert reply.json()["predictions"][0]["probability"] == pytest.approx(best[number], abs=1e-5)
        else:
            _check_refusal(reply)


def _check_refusal(reply: httpx2.Response) -> None:
    assert (reply.status_code, reply.headers["content-type"]) == (503, "application/problem+json"), reply.text
    assert reply.json()["code"] in {"overloaded", "not-ready"}
    assert int(reply.headers["retry-after"]) >= 1


def _check_overload(url: str, frames: list[bytes]) -> None:
    """Check that the proxy refuses what replica and queue cannot hold, in the form of the service, and nothing else."""
    with ThreadPoolExecutor(60) as many:
        replies = list(
            many.map(lambda each: httpx2.post(f"{url}/classify", content=frames[each % 8], timeout=60), range(240))
        )
    refused = [reply for reply in replies if reply.status_code != 200]
    for reply in refused:
        _check_refusal(reply)
    assert 0 < len(refused) < len(replies)
    assert any("so is the queue" in reply.json()["detail"] for reply in refused)
