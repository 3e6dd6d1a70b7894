"""The Python programs in the documentation run as they are written, against a running service."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from service import cli
from tests.support.paths import ROOT
from tests.support.server_thread import serving

ADDRESS = "http://127.0.0.1:8000"


def programs(page: str) -> list[str]:
    """Return the programs of a page: blocks that import the client, and what a shell gives to `python3 -c`."""
    text = (ROOT / page).read_text()
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    lines = [shlex.split(line)[-1] for line in re.findall(r"^.*/python3 -c .*$", text, re.MULTILINE)]
    return [program for program in (*blocks, *lines) if "import" in program]


@pytest.fixture(scope="module")
def place(phantom_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A folder with the drawn frames, as the pages assume it, and the address of a service."""
    folder = tmp_path_factory.mktemp("reader")
    assert cli.main(["sample", str(folder / "example")]) == 0
    for name in ("brain.png", "frame.png"):
        (folder / name).write_bytes((folder / "example" / "brain.png").read_bytes())
    with serving(phantom_folder) as address:
        yield folder, address


@pytest.mark.parametrize(
    ("page", "number"),
    [("README.md", 1), ("clients/python/README.md", 1), ("docs/get-started/serve.md", 1), ("docs/reference/api.md", 1)],
)
def test_each_program_runs(place: tuple[Path, str], page: str, number: int) -> None:
    folder, address = place
    found = programs(page)
    assert len(found) == number
    for program in found:
        assert ADDRESS in program
        command = [sys.executable, "-W", "error", "-c", program.replace(ADDRESS, address)]
        run = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
        assert run.returncode == 0, run.stderr
        assert run.stdout.strip()
