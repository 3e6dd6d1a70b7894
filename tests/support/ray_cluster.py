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

HEAD, SECOND = "127.0.0.2", "127.0.0.3"  # 127.0.0.0/8 is this machine; Ray replaces 127.0.0.1 by its outer address
STORE_BYTES = 100 * 2**20
TIMEOUT_S = 240

_TRIES = 3

_COMMON = (
    f"--object-store-memory={STORE_BYTES}",
    "--dashboard-agent-listen-port=0",
    "--block",
    "--include-log-monitor=false",
)

# Only what a cluster needs: no autoscaler, no worker logs, no dashboard.
_HEAD = ("--head", "--include-dashboard=false", "--no-monitor")


class Cluster:
    """A head and a second node. Leaving the context ends all their processes.

    Parameters
    ----------
    cpus
        Number of cores that each node reports.
    second
        Whether there is a second node.
    python
        Interpreter of every process.
    """

    def __init__(self, cpus: int = 2, *, second: bool = True, python: str = sys.executable) -> None:
        self.cpus, self.second, self._python = cpus, second, python
        self.folder = Path(tempfile.mkdtemp(prefix="fp"))  # short: socket paths have a limit
        self.address = f"{HEAD}:{free_port()}"
        self.environment = os.environ | {
            "PYTHONPATH": str(ROOT),
            "PYTHONWARNINGS": "ignore",  # Ray's own warnings must not fail a test
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(16),
            "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH": "service.ray.proxy_errors:middlewares",
            # By default workers run at niceness 15: next to other work they hardly start, and their throughput cannot
            # be compared with that of a process without Ray.
            "RAY_worker_niceness": "0",
            # A lost node is noticed within seconds, a slow one on a busy machine is not given up at once.
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
        """Run Python with the environment of the cluster, in its own process group."""
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
        """Return the titles of a node's worker processes; Ray writes their task into them."""
        titles = [_title(each) for each in descendants(self._nodes[address].pid)]
        return [title for title in titles if title.startswith("ray::")]

    def kill(self, address: str) -> None:
        """Kill a node and all its processes, like a power cut."""
        node = self._nodes.pop(address)
        processes = [node.pid, *descendants(node.pid)]
        if node.poll() is not None:  # its children have another parent now
            processes = [each for each in _all_processes() if self._is_of(address, _title(each))]
        for process in processes:
            try:
                os.kill(process, signal.SIGKILL)
            except ProcessLookupError:
                continue
        node.wait()
        wait_until(lambda: not any(_alive(each) for each in processes))

    def _start(self, node_address: str, *arguments: str) -> None:
        """Start a node; try again if the machine is too busy for Ray, whose own limit is 15 s."""
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


def wait_until(true: Callable[[], bool], seconds: float = TIMEOUT_S) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.1)


def listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HEAD, port)) == 0


def _all_processes() -> list[int]:
    return [int(folder.name) for folder in Path("/proc").iterdir() if folder.name.isdecimal()]


def descendants(process: int) -> list[int]:
    """Return the children of a process, and theirs."""
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
