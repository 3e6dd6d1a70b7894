"""A Ray cluster of two nodes on this machine, each with processes, an address and an object store of its own."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench.servers import free_port
from tests.support.paths import ROOT

HEAD, SECOND = "127.0.0.2", "127.0.0.3"  # all of 127.0.0.0/8 is this machine; Ray takes 127.0.0.1 for its outer address
STORE_BYTES = 100 * 2**20
PATIENCE_S = 240

_TRIES = 3

_COMMON = (
    f"--object-store-memory={STORE_BYTES}",
    "--dashboard-agent-listen-port=0",
    "--block",
    "--include-log-monitor=false",
)

# Nothing but what a cluster needs: neither autoscaler nor logs of workers nor dashboard.
_HEAD = ("--head", "--include-dashboard=false", "--no-monitor")


class Cluster:
    """A head and a second node; use it as a context, at whose end no process of theirs is left.

    Parameters
    ----------
    cpus
        How many cores each node is told that it has.
    second
        Whether there is a second node.
    python
        What every process of it runs on.
    """

    def __init__(self, cpus: int = 2, *, second: bool = True, python: str = sys.executable) -> None:
        self.cpus, self.second, self._python = cpus, second, python
        self.folder = Path(tempfile.mkdtemp(prefix="fp"))  # short: the names of sockets in it are bounded
        self.address = f"{HEAD}:{free_port()}"
        self.environment = os.environ | {
            "PYTHONPATH": str(ROOT),
            "PYTHONWARNINGS": "ignore",  # Ray's own are not ours to fail on
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(16),
            "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH": "service.ray.proxy_errors:middlewares",
            # Workers run at niceness 15 otherwise: beside other work on the machine they hardly come up, and are no
            # match for what a process without Ray is measured at.
            "RAY_worker_niceness": "0",
            # A node that is lost is missed within seconds; one on a busy machine is not missed at once.
            "RAY_health_check_period_ms": "1000",
            "RAY_health_check_timeout_ms": "3000",
            "RAY_health_check_failure_threshold": "3",
        }
        self._nodes: dict[str, subprocess.Popen[bytes]] = {}
        self._begun: list[subprocess.Popen[str]] = []

    def __enter__(self) -> "Cluster":
        try:
            port = self.address.partition(":")[2]
            self._start(HEAD, *_HEAD, f"--port={port}", f"--temp-dir={self.folder}")
            if self.second:
                self._start(SECOND, f"--address={self.address}")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._begun:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
        for address in list(self._nodes):
            self.kill(address)
        shutil.rmtree(self.folder, ignore_errors=True)

    def python(self, *arguments: str) -> subprocess.Popen[str]:
        """Run Python with the cluster's environment, in a group of its own."""
        process = subprocess.Popen(
            [self._python, *arguments],
            cwd=ROOT,
            env=self.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            process_group=0,
        )
        self._begun.append(process)
        return process

    def workers_of(self, address: str) -> list[str]:
        """What the worker processes of a node are doing, as Ray writes it into their titles."""
        titles = [_title(each) for each in descendants(self._nodes[address].pid)]
        return [title for title in titles if title.startswith("ray::")]

    def kill(self, address: str) -> None:
        """End a node as a power cut would."""
        node = self._nodes.pop(address)
        processes = [node.pid, *descendants(node.pid)]
        if node.poll() is not None:  # those that it began are nobody's children now
            processes = [each for each in _all_processes() if self._is_of(address, _title(each))]
        for process in processes:
            try:
                os.kill(process, signal.SIGKILL)
            except ProcessLookupError:
                continue
        node.wait()
        wait_until(lambda: not any(_alive(each) for each in processes))

    def _start(self, node_address: str, *arguments: str) -> None:
        """Start a node; again, where the machine was too busy for Ray, which waits for itself for 15 s."""
        for _ in range(_TRIES):
            if self._came_up(node_address, *arguments):
                return
            self.kill(node_address)
        raise AssertionError((self.folder / f"{node_address}.log").read_text())

    def _is_of(self, node_address: str, title: str) -> bool:
        return self.folder.as_posix() in title and node_address in title

    def _came_up(self, node_address: str, *arguments: str) -> bool:
        log_path = self.folder / f"{node_address}.log"
        with log_path.open("wb") as log:
            command = [self._python, "-m", "ray.scripts.scripts", "start", f"--node-ip-address={node_address}"]
            self._nodes[node_address] = node = subprocess.Popen(
                [*command, f"--num-cpus={self.cpus}", *_COMMON, *arguments],
                env=self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        wait_until(lambda: node.poll() is not None or "Ray runtime started" in log_path.read_text())
        return node.poll() is None


def wait_until(true: Callable[[], bool], seconds: float = PATIENCE_S) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.1)


def listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HEAD, port)) == 0


def _all_processes() -> list[int]:
    return [int(folder.name) for folder in Path("/proc").iterdir() if folder.name.isdecimal()]


def descendants(process: int) -> list[int]:
    """Every process that one has begun, theirs too."""
    parents: dict[int, list[int]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal() and (parent := _parent(folder)) is not None:
            parents.setdefault(parent, []).append(int(folder.name))
    found, ahead = [], [process]
    while ahead:
        children = parents.get(ahead.pop(), [])
        found += children
        ahead += children
    return found


def _parent(folder: Path) -> int | None:
    try:
        return int((folder / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return None


def _title(process: int) -> str:
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


def _alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
