"""Clients generated from the OpenAPI document send a frame, read a batch and read a problem."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.app import create_app
from service.sample.examples import EXAMPLES, encode_example
from service.settings import Settings
from tests.support.phantom_package import Phantom
from tests.support.server_thread import serving

SCRIPTS = Path(__file__).parent / "scripts"
CONFIG = {
    "project_name_override": "generated",
    "post_hooks": [],
    "content_type_overrides": {
        "image/jpeg": "application/octet-stream",
        "application/dicom": "application/octet-stream",
    },
}
EXPECTED = ["form 4", "raw 4", "batch 2 2 True", "problem unsupported-format"]


@pytest.fixture
def address(phantom: Phantom, tmp_path: Path) -> Iterator[str]:
    (tmp_path / "model").mkdir()
    with serving(phantom.write(tmp_path / "model")) as address:
        yield address


@pytest.fixture
def document(tmp_path: Path) -> Path:
    path = tmp_path / "openapi.json"
    path.write_text(json.dumps(create_app(Settings()).openapi()))
    return path


def tool(name: str) -> str:
    """Return the path of a generator, from the environment of the tests or from PATH."""
    found = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def run_script(name: str, package: Path, address: str, tmp_path: Path) -> list[str]:
    """Return what a script of `SCRIPTS` prints that imports the generated package."""
    frame = tmp_path / "frame.png"
    frame.write_bytes(encode_example(EXAMPLES["brain.png"]))
    command = [sys.executable, str(SCRIPTS / name), str(package), address, str(frame)]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert run.returncode == 0, run.stderr
    return run.stdout.splitlines()


def test_openapi_python_client(document: Path, address: str, tmp_path: Path) -> None:
    pytest.importorskip("httpx")
    config, package = tmp_path / "config.json", tmp_path / "generated"
    config.write_text(json.dumps(CONFIG))
    command = [tool("openapi-python-client"), "generate", "--path", str(document), "--config", str(config)]
    run = subprocess.run([*command, "--output-path", str(package), "--fail-on-warning"], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    assert run_script("openapi_python_client.py", package, address, tmp_path) == EXPECTED


def test_openapi_generator(document: Path, address: str, tmp_path: Path) -> None:
    pytest.importorskip("urllib3")
    pytest.importorskip("dateutil")
    generator, package = tool("openapi-generator-cli"), tmp_path / "generated"
    tool("java")
    command = [generator, "generate", "-g", "python", "-i", str(document), "-o", str(package)]
    subprocess.run(command, capture_output=True, check=True, timeout=300)
    # A client of this generator knows one body per operation: the form.
    expected = [line for line in EXPECTED if not line.startswith("raw")]
    assert run_script("openapi_generator.py", package, address, tmp_path) == expected
