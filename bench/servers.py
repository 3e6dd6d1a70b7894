"""Start the service in a process of its own, wait until it is ready, and read its memory. Tests use it, too."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import NamedTuple

import httpx2

ROOT = Path(__file__).parents[1]
START_TIMEOUT_S = 120
STOP_TIMEOUT_S = 60


class RunningService(NamedTuple):
    """A service that is ready: its process, and its URL without a slash at the end."""

    process: subprocess.Popen[str]
    url: str


def free_port() -> int:
    """Return a TCP port of the loopback interface that no process listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start_service(
    model: Path,
    port: int,
    settings: Mapping[str, str] | None = None,
    *,
    stderr: int | None = None,
    cores: set[int] | None = None,
) -> subprocess.Popen[str]:
    """Start `fetal-planes serve` and return at once.

    Parameters
    ----------
    settings
        Values by the setting's name, in lower case and without the prefix. `drain_s` is 0 unless given.
    stderr
        File descriptor for the log, or `subprocess.PIPE`, which blocks the service when it is full and nobody reads
        it; None is this process's standard error.
    cores
        The only cores that the service may run on; None is all.
    """
    command = [sys.executable, "-m", "service.cli", "serve", "--port", str(port), "--model", str(model)]
    values = {"drain_s": "0", **(settings or {})}
    environment = os.environ | {f"FETAL_PLANES_{name.upper()}": value for name, value in values.items()}
    with only_on_cores(cores) if cores else nullcontext():
        return subprocess.Popen(command, cwd=ROOT, env=environment, stderr=stderr, text=True)


def wait_until_ready(
    url: str, process: subprocess.Popen[str] | None = None, timeout_s: float = START_TIMEOUT_S
) -> None:
    """Wait until `GET /health/ready` succeeds.

    Raises
    ------
    TimeoutError
        The service is not ready within `timeout_s`, or `process` has ended.
    """
    deadline = time.monotonic() + timeout_s
    with httpx2.Client(timeout=5) as client:  # one for all attempts: each client loads the CA certificates
        while time.monotonic() < deadline and (process is None or process.poll() is None):
            try:
                if client.get(f"{url}/health/ready").is_success:
                    return
            except httpx2.TransportError:
                pass
            time.sleep(0.1)
    raise TimeoutError(f"{url} is not ready")


@contextmanager
def running_service(
    model: Path,
    settings: Mapping[str, str] | None = None,
    *,
    stderr: int | None = None,
    cores: set[int] | None = None,
) -> Iterator[RunningService]:
    """Run a service until the end of the block. The parameters are those of `start_service`."""
    port = free_port()
    with start_service(model, port, settings, stderr=stderr, cores=cores) as process:
        try:
            wait_until_ready(url := f"http://127.0.0.1:{port}", process)
            yield RunningService(process, url)
        finally:
            stop(process)


def stop(process: subprocess.Popen[str]) -> None:
    """End a process with SIGTERM; kill it where that does not end it."""
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextmanager
def running_group(command: Sequence[str]) -> Iterator[None]:
    """Run a Python command silently, in a process group of its own; end the whole group at the end of the block."""
    environment = os.environ | {"FETAL_PLANES_DRAIN_S": "0", "FETAL_PLANES_LOG_LEVEL": "warning"}
    process = subprocess.Popen(
        [sys.executable, *command],
        cwd=ROOT,
        env=environment,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)  # servers that start workers do not always end them
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextmanager
def only_on_cores(cores: set[int]) -> Iterator[None]:
    """Have every process that starts in the block run on these cores only (Linux)."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def peak_memory_mib(process_id: int) -> float:
    """Return the largest resident size that a process has had, in MiB (Linux: VmHWM in proc(5))."""
    found = re.search(r"^VmHWM:\s+(\d+) kB$", Path(f"/proc/{process_id}/status").read_text(), re.MULTILINE)
    if not found:
        raise OSError("this system does not report the peak memory of a process")
    return int(found[1]) / 1024
