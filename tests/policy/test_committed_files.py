"""What may not be committed: paths and hosts of one machine, and frames of the data sets."""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.paths import DATA, ROOT
from tests.support.repository import tracked_files

MACHINE_PATH = re.compile(r"/(?:work|root|farm|opt/pypi|home/\w+)/|/tmp/(?=[a-z])")
PRIVATE_HOST = re.compile(
    r"(?<![\d.])(?:10\.\d+|172\.(?:1[6-9]|2\d|3[01])|192\.168|169\.254)\.\d+\.\d+(?![\d.])"  # RFC 1918, RFC 3927
    r"|://[\w.-]+\.(?:corp|home|internal|intra|lan)\b"
    r"|--(?:extra-)?index-url|--trusted-host"
)
IGNORED = {".gitignore", "test_committed_files.py"}


def text_lines() -> Iterator[tuple[str, str]]:
    """Every line of every committed text file, with its place."""
    for path in tracked_files():
        if b"\0" not in (content := path.read_bytes()) and path.name not in IGNORED:
            for number, line in enumerate(content.decode().splitlines(), 1):
                yield f"{path.relative_to(ROOT)}:{number}", line.strip()


@pytest.mark.parametrize("pattern", [MACHINE_PATH, PRIVATE_HOST], ids=["paths", "hosts"])
def test_no_path_or_host_of_one_machine_is_committed(pattern: re.Pattern[str]) -> None:
    assert not [f"{place}: {line}" for place, line in text_lines() if pattern.search(line)]


@pytest.mark.parametrize(
    "line", ["cd /home/anna/code", "pip install --index-url x", "http://10.0.3.7:8000", "https://pypi.acme.internal/"]
)
def test_the_patterns_find_paths_and_hosts(line: str) -> None:
    assert MACHINE_PATH.search(line) or PRIVATE_HOST.search(line)


def test_no_frame_of_the_data_set_is_committed_by_name() -> None:
    assert not [path for path in tracked_files() if re.search(r"Patient\d{5}_Plane\d", path.name)]


@pytest.mark.realdata
def test_no_frame_of_the_data_set_is_committed_by_content() -> None:
    if not DATA.is_dir():
        pytest.skip("the real data are not next to this checkout")
    sizes: dict[int, list[Path]] = {}
    for frame in DATA.rglob("*.png"):
        sizes.setdefault(frame.stat().st_size, []).append(frame)

    def digest(path: Path) -> str:
        return hashlib.sha256(path.read_bytes()).hexdigest()

    assert sizes
    for path in tracked_files():
        twins = sizes.get(path.stat().st_size, [])
        assert digest(path) not in {digest(twin) for twin in twins}, path
