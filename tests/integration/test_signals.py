"""Signals at awkward moments: SIGTERM always ends the service, and SIGHUP never does."""

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import httpx2
import pytest

from bench.servers import ROOT, free_port, running_service, start_service, wait_until_ready
from tests.support.hostile_packages import multiply_ones, never_end, write_changed
from tests.support.images import encode, speckle
from tests.support.phantom_package import Phantom
from tests.support.waiting import TIMEOUT_S, eventually

FRAME = encode(speckle())


def start(folder: Path, log: Path, **settings: str) -> subprocess.Popen[str]:
    with log.open("w") as file:
        return start_service(folder, free_port(), settings, stderr=file.fileno())


def begins_to_load(log: Path) -> bool:
    return "Waiting for application startup" in log.read_text()


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_start_that_hangs(tmp_path: Path, sent: signal.Signals) -> None:
    folder, log = write_changed(tmp_path / "model", never_end), tmp_path / "log"
    with start(folder, log, load_s="600") as process:
        eventually(lambda: begins_to_load(log))
        process.send_signal(signal.SIGHUP)
        time.sleep(0.3)
        assert process.poll() is None
        process.send_signal(sent)
        assert process.wait(TIMEOUT_S) == 0
    assert "stopped before the service was ready" in log.read_text()


@pytest.mark.parametrize("change", [never_end, partial(multiply_ones, side=9000)], ids=["endless", "huge"])
def test_a_package_that_never_warms_up_ends_the_start(tmp_path: Path, change: partial[None]) -> None:
    folder, log = write_changed(tmp_path / "model", change), tmp_path / "log"
    with start(folder, log, load_s="1") as process:
        assert process.wait(TIMEOUT_S) not in (0, None)
    assert "FETAL_PLANES_LOAD_S" in log.read_text()


def test_a_reload_that_hangs_is_given_up(phantom: Phantom, tmp_path: Path) -> None:
    folder = phantom.write(tmp_path / "model")
    with running_service(folder, {"load_s": "1"}) as (process, url), httpx2.Client(timeout=TIMEOUT_S) as session:
        write_changed(folder, never_end)
        process.send_signal(signal.SIGHUP)
        eventually(lambda: 'reloads_total{result="refused"} 1.0' in session.get(f"{url}/metrics").text)
        assert session.post(f"{url}/classify", content=FRAME).status_code == 200
        phantom.write(folder)
        process.send_signal(signal.SIGHUP)
        eventually(lambda: 'reloads_total{result="unchanged"} 1.0' in session.get(f"{url}/metrics").text)


@pytest.mark.parametrize("change", [never_end, partial(multiply_ones, side=9000)], ids=["endless", "huge"])
def test_sigterm_ends_the_service_while_a_reload_hangs(phantom: Phantom, tmp_path: Path, change: partial[None]) -> None:
    folder = phantom.write(tmp_path / "model")
    with running_service(folder, {"load_s": "600"}) as (process, url):
        write_changed(folder, change)
        for _ in range(20):
            process.send_signal(signal.SIGHUP)
        time.sleep(0.5)
        assert httpx2.post(f"{url}/classify", content=FRAME).status_code == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(TIMEOUT_S) == 0


def test_sighup_never_ends_the_service(phantom_folder: Path, tmp_path: Path) -> None:
    """From its first second to its last, with signals at any moment."""
    log = tmp_path / "log"
    with start(phantom_folder, log, drain_s="0.3") as process:
        eventually(lambda: ignores_sighup(process.pid))
        terminated = False
        while process.poll() is None:
            process.send_signal(signal.SIGHUP)
            time.sleep(0.005)
            if not terminated and "reloaded" in log.read_text():
                process.send_signal(signal.SIGTERM)
                terminated = True
        assert process.returncode == 0


NEVER_STOPS = """
import sys, threading, time
from pathlib import Path
from service import server
from service.app import create_app
from service.settings import Settings

server._LAST_REPLIES_S = server._UNLOAD_S = 0.5
settings = Settings(model=Path(sys.argv[1]), drain_s=0, upload_s=0.1, deadline_s=0.1)
app = create_app(settings)
app.state.runtime.stop = lambda: time.sleep(600)  # as a worker does that nothing stops
server.Server(app, settings, "127.0.0.1", int(sys.argv[2])).run()
"""


def test_work_that_never_stops_does_not_keep_the_process_alive(phantom_folder: Path) -> None:
    port = free_port()
    command = [sys.executable, "-c", NEVER_STOPS, str(phantom_folder), str(port)]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        wait_until_ready(f"http://127.0.0.1:{port}", process)
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 1
    assert "ended by force" in log


def ignores_sighup(process_id: int) -> bool:
    """Whether a process handles or ignores SIGHUP, the lowest bit in the masks of proc(5)."""
    status = dict(line.split(":\t", 1) for line in Path(f"/proc/{process_id}/status").read_text().splitlines())
    return any(int(status[mask], 16) & 1 << signal.SIGHUP - 1 for mask in ("SigIgn", "SigCgt"))


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_sigterm_ends_the_first_process_of_a_container(tmp_path: Path) -> None:
    """The kernel drops signals that the first process of a PID namespace has no handler for."""
    program = "import os,signal,sys; from service.cli import main; os.kill(1, signal.SIGTERM); sys.exit(9)"
    program = program.replace("os.kill", "main(['key', 'ward']); os.kill")
    command = ["unshare", "--pid", "--fork", "--mount-proc", sys.executable, "-c", program]
    ended = subprocess.run(command, capture_output=True, timeout=TIMEOUT_S)
    if b"unshare failed" in ended.stderr or b"Operation not permitted" in ended.stderr:
        pytest.skip("this machine allows no PID namespaces")
    assert ended.returncode == 128 + signal.SIGTERM
