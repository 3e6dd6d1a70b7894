"""What a confined process can and cannot do. Each program runs in a process of its own: the limits never go away."""

import subprocess
import sys
import textwrap

import pytest

from service.execution.decoders.decoder import HAS_PROCESSES

pytestmark = pytest.mark.skipif(not HAS_PROCESSES, reason="needs Linux")

PROGRAM = """
import os, signal, socket, subprocess, sys, threading
from pathlib import Path
from service.execution.decoders.sandbox import confine
import encodings.utf_16
parent = os.getppid()
fd = os.open(os.devnull, os.O_RDONLY)
if not confine():
    sys.exit(77)
try:
    {action}
except OSError as error:
    sys.exit(13 if error.errno in (1, 13, 24, 27) else f"errno {{error.errno}}")
except RuntimeError:  # threading: can't start new thread
    sys.exit(13)
"""

REFUSED = {
    "a socket": "socket.socket()",
    "a Unix socket": "socket.socket(socket.AF_UNIX)",
    "another program": "os.execv('/bin/true', ['true'])",
    "a child": "os.fork()",
    "a thread": "threading.Thread(target=print).start()",
    "a new file": "Path(sys.argv[1], 'new').write_text('x')",
    "an existing file for writing": "os.open(sys.argv[2], os.O_RDWR)",
    "cutting a file": "os.truncate(sys.argv[2], 0)",
    "deleting a file": "os.unlink(sys.argv[2])",
    "renaming a file": "os.rename(sys.argv[2], sys.argv[2] + '2')",
    "a folder": "os.mkdir(os.path.join(sys.argv[1], 'new'))",
    "a link": "os.symlink('/', os.path.join(sys.argv[1], 'new'))",
    "other rights": "os.chmod(sys.argv[2], 0o777)",
    "a signal to another process": "os.kill(parent, signal.SIGUSR1)",
    "shared memory of its own": "os.memfd_create('x')",
    "reading a file": "os.open(sys.argv[2], os.O_RDONLY)",
    "listing a folder": "os.listdir(sys.argv[1])",
    "many descriptors": "[os.dup(fd) for _ in range(40)]",
}
ALLOWED = {
    "importing a module": "import colorsys",
    "memory": "bytearray(50_000_000)",
}


def run(action: str, folder: str, file: str) -> subprocess.CompletedProcess[str]:
    program = textwrap.dedent(PROGRAM).format(action=action)
    done = subprocess.run([sys.executable, "-c", program, folder, file], capture_output=True, text=True, timeout=60)
    if done.returncode == 77:
        pytest.skip("this platform has no seccomp")
    return done


@pytest.mark.parametrize("action", REFUSED.values(), ids=REFUSED.keys())
def test_refused(action: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("folder")
    kept = folder / "kept"
    kept.write_bytes(b"kept")
    before = kept.stat().st_mode
    done = run(action, str(folder), str(kept))
    assert done.returncode == 13, done.stderr
    assert [path.name for path in folder.iterdir()] == ["kept"]
    assert (kept.read_bytes(), kept.stat().st_mode) == (b"kept", before)


@pytest.mark.parametrize("action", ALLOWED.values(), ids=ALLOWED.keys())
def test_allowed(action: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("folder")
    (folder / "kept").write_bytes(b"kept")
    done = run(action, str(folder), str(folder / "kept"))
    assert done.returncode == 0, done.stderr


def test_a_crash_leaves_no_core_file() -> None:
    done = run("import resource; assert resource.getrlimit(resource.RLIMIT_CORE) == (0, 0); os.abort()", "", "")
    assert done.returncode == -6
