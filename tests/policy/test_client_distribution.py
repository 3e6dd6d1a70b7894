"""The client is a distribution of its own: small, typed, and in step with the service."""

import json
import re
import runpy
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from email import message_from_bytes
from importlib.metadata import distribution
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import fetal_planes_client
import service
from fetal_planes_client import Classification, Manifest
from service.schemas.examples import CLASSIFICATION
from service.settings import SHIPPED_MODEL
from tests.support.images import animation, encode, speckle
from tests.support.paths import ROOT
from tests.support.repository import PROJECT, tracked_files
from tests.support.server_thread import serving

CLIENT = ROOT / "clients" / "python"
GENERATOR = CLIENT / "generate_types.py"
DEPENDENCIES = {"httpx2", "pydantic"}

PROGRAM = """
import asyncio, io, sys
from pathlib import Path
from fetal_planes_client import AsyncClient, BatchEnd, Client, RefusedError

frame, loop, url = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]

async def ask():
    async with AsyncClient(url) as client:
        lines = [line async for line in client.classify_batch([frame, loop])]
        return len(lines), (await client.exam([frame])).files

with Client(url) as client, frame.open("rb") as opened:
    files = (frame, str(frame), frame.read_bytes(), opened, io.BytesIO(frame.read_bytes()))
    assert len({client.classify(file).predictions[0].probability for file in files}) == 1
    assert isinstance(list(client.classify_batch([frame, loop]))[-1], BatchEnd)
    assert client.exam([frame, loop], unread=1).files_left == 1
    assert client.explain(frame).explanation.heatmap
    assert client.overlay(frame).startswith(bytes([0xFF, 0xD8]))
    assert client.model().planes
    try:
        client.classify(b"text")
    except RefusedError as error:
        assert error.problem.code == "unsupported-format"
    else:
        raise AssertionError("not refused")
assert asyncio.run(ask()) == (4, 1)
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=CLIENT, check=True, capture_output=True)
    (path,) = folder.glob("*.whl")
    return path


def needed(names: set[str]) -> set[str]:
    """Every distribution that the given ones need, and themselves."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        if (name := canonicalize_name(waiting.pop())) not in found:
            found.add(name)
            wanted = map(Requirement, distribution(name).requires or [])
            waiting += [each.name for each in wanted if not each.marker or each.marker.evaluate({"extra": ""})]
    return found


def top_level(name: str) -> Iterator[Path]:
    """Every folder and module that a distribution puts on the path."""
    package = distribution(name)
    tops = {file.parts[0] for file in package.files or []} - {"..", "__pycache__"}
    yield from (Path(str(package.locate_file(top))) for top in tops)


def test_the_wheel_needs_httpx2_and_pydantic_only(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        held = set(archive.namelist())
        (metadata,) = (name for name in held if name.endswith(".dist-info/METADATA"))
        fields = message_from_bytes(archive.read(metadata))
    assert {Requirement(each).name for each in fields.get_all("Requires-Dist", [])} == DEPENDENCIES
    assert (fields["Name"], fields["License-Expression"]) == ("fetal-planes-client", "Apache-2.0")
    assert "Research use only" in str(fields.get_payload())
    sources = {path.relative_to(CLIENT).as_posix() for path in (CLIENT / "fetal_planes_client").rglob("*.py")}
    packaged = {name for name in held if ".dist-info/" not in name}
    assert packaged == sources | {"fetal_planes_client/py.typed"}
    assert any(name.endswith("licenses/LICENSE") for name in held)
    assert (CLIENT / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()


def test_the_wheel_asks_a_running_service_without_any_other_package(
    wheel: Path, phantom_folder: Path, tmp_path: Path
) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "packages")
    for path in (path for name in needed(DEPENDENCIES) for path in top_level(name)):
        (tmp_path / "packages" / path.name).symlink_to(path)
    frame, loop = tmp_path / "frame.png", tmp_path / "loop.png"
    frame.write_bytes(encode(speckle()))
    loop.write_bytes(animation("PNG", [speckle(seed=1), speckle(seed=2)]))
    program = f"import sys; sys.path.insert(0, {str(tmp_path / 'packages')!r}){PROGRAM}"
    with serving(phantom_folder) as url:
        command = [sys.executable, "-I", "-S", "-c", program, str(frame), str(loop), url]
        run = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    assert not {"service", "fastapi", "numpy", "cv2", "onnxruntime", "pydicom"} & set(run.stdout.split())


def test_an_editable_installation_of_the_service_gives_the_client(tmp_path: Path) -> None:
    """Then the commands in the README need no index that has the client."""
    (built,) = WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["editable"])
    with zipfile.ZipFile(built) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".pth"))
        folders = archive.read(name).decode().splitlines()
    assert {Path(folder) for folder in folders} == {ROOT, CLIENT}


def test_the_versions_agree() -> None:
    assert fetal_planes_client.__version__ == service.__version__
    (pin,) = PROJECT["project"]["optional-dependencies"]["client"]
    assert pin == f"fetal-planes-client=={service.__version__}"


def test_the_types_are_those_of_the_service(tmp_path: Path) -> None:
    runpy.run_path(str(GENERATOR))["main"](tmp_path)
    written = {path.name: path.read_text() for path in tmp_path.iterdir()}
    folder = CLIENT / "fetal_planes_client" / "types"
    kept = {path.name: path.read_text() for path in folder.glob("*.py") if path.name != "__init__.py"}
    assert written == kept, "run `make client-types`"


def test_an_answer_of_a_newer_service_is_read() -> None:
    frame = CLASSIFICATION["frame"] | {"format": "avif", "depth": 8}
    answer = Classification.model_validate_json(json.dumps(CLASSIFICATION | {"frame": frame, "mood": "good"}))
    assert answer.frame.format == "avif"
    manifest = json.loads((SHIPPED_MODEL / "model.json").read_text())
    assert Manifest.model_validate(manifest | {"more": 1, "format": 3}).name == manifest["name"]


def test_the_image_builds_from_both_distributions() -> None:
    """Every file that an image copies is in the context of its build, and pip gets both folders."""
    ignored = (ROOT / ".dockerignore").read_text()
    for name in ("Dockerfile", "deploy/ray/Dockerfile"):
        text = (ROOT / name).read_text()
        assert "COPY clients/python clients/python\n" in text
        assert re.search(r"--no-build-isolation .*\. \./clients/python", text), name
    assert "!clients/python\n" in ignored
    assert any(path.is_relative_to(CLIENT) for path in tracked_files())
