"""The rules by which the image is built, the licenses of its packages, and its bill of materials."""

import importlib.metadata
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dockerfile
import pytest
from packaging.markers import Marker
from packaging.utils import canonicalize_name

from tests.support.paths import ROOT
from tests.support.repository import LOCKS, PROJECT, locked_versions

COMMANDS = dockerfile.parse_file(str(ROOT / "Dockerfile"))  # BuildKit's own parser
CHOICES = {"none": "service-none", "dicom": "service", "audit": "service-audit"}
FREE = re.compile(
    r"\b(MIT|BSD|Apache|PSF|Python Software Foundation|HPND|MPL|Mozilla|ISC|0BSD|Zlib|CC0)", re.IGNORECASE
)
COPYLEFT = re.compile(r"\bA?GPL|GNU (Affero )?General", re.IGNORECASE)


def of(kind: str) -> list[dockerfile.Command]:
    return [command for command in COMMANDS if command.cmd.lower() == kind]


def test_the_dockerfile_keeps_the_rules() -> None:
    """Check the rules of hadolint that matter here, by their numbers."""
    runs = [" ".join(command.value) for command in of("run")]
    assert all(
        ":" in value
        for command in COMMANDS
        if command.cmd == "ARG"
        for value in command.value
        if "PYTHON_IMAGE=" in value
    )
    assert [command.value[0] for command in of("from")] == [
        "${PYTHON_IMAGE}"
    ] * 2  # DL3006, DL3007: a tag, never latest
    assert ":latest" not in (ROOT / "Dockerfile").read_text().split("LABEL")[0]
    assert of("user")[-1].value == ("10001:10001",)  # DL3002: the last user is not root
    assert of("user")[-1].start_line > max(command.start_line for command in of("run"))
    assert all(command.json for kind in ("entrypoint", "cmd") for command in of(kind))  # DL3025: exec form
    assert all(command.value[0].startswith("/") for command in of("workdir"))  # DL3000
    assert not of("add")  # DL3020
    assert not of("maintainer")  # DL4000
    assert not [
        run for run in runs if re.search(r"\bsudo\b|\bcd /|curl .*\| *(ba)?sh|--force-yes", run)
    ]  # DL3003, DL3004
    for run in runs:
        if "apt-get install" in run:
            assert "--yes --no-install-recommends" in run  # DL3014, DL3015
            assert "apt-get update" in run  # DL3009
            assert run.index("rm -rf /var/lib/apt/lists/*") > run.index("apt-get install")
        assert all(
            "--require-hashes" in line or "--no-index" in line
            for line in re.findall(r" install --[^&]*", run)
            if "pip" in run and "apt" not in run
        )
    assert len(of("healthcheck")) == len(of("entrypoint")) == len(of("cmd")) == 1  # DL3012, DL4003, DL4004


@pytest.mark.parametrize("name", ["Dockerfile", "deploy/image/slim.py", "deploy/image/load.py"])
def test_the_image_names_no_processor(name: str) -> None:
    assert not re.search(r"x86_64|amd64|aarch64|arm64|lib64|linux-gnu", (ROOT / name).read_text())


def test_hadolint_passes() -> None:
    if not shutil.which("hadolint"):
        pytest.skip("hadolint is not installed (it is GPL, so it is not a dependency)")
    subprocess.run(["hadolint", "Dockerfile"], cwd=ROOT, check=True)


def test_each_choice_of_extras_has_its_lock() -> None:
    ignore = (ROOT / ".dockerignore").read_text()
    for lock in CHOICES.values():
        assert (LOCKS / f"{lock}.txt").is_file()
        assert f"!requirements/{lock}.txt\n" in ignore
    assert not {"pydicom", "highdicom", "pyjpegls"} & set(locked_versions("service-none"))
    assert {canonicalize_name(re.split("[>=]", line)[0]) for line in PROJECT["project"]["dependencies"]} <= set(
        locked_versions("service-none")
    )


def licenses(package: str) -> str:
    """Everything that a package's metadata say about its license."""
    metadata = importlib.metadata.metadata(package)
    fields = {name: metadata.get_all(name) or [] for name in ("License-Expression", "License", "Classifier")}
    classifiers = [line for line in fields["Classifier"] if line.startswith("License ::")]
    return "; ".join([*fields["License-Expression"], *(text[:200] for text in fields["License"]), *classifiers])


def installed() -> Iterator[str]:
    """Every package of the service's lock that this platform installs."""
    text = (LOCKS / "service.txt").read_text()
    for package, marker in re.findall(r"^([a-z0-9._-]+)==\S+(?: ; (.*?))? \\$", text, re.MULTILINE):
        if not marker or Marker(marker).evaluate():
            yield package


def test_every_license_is_free_and_none_is_gpl() -> None:
    found = {package: licenses(package) for package in installed()}
    assert len(found) > 30
    assert not {package: text for package, text in found.items() if COPYLEFT.search(text)}
    assert not {package: text for package, text in found.items() if not FREE.search(text)}


def test_the_bill_of_materials_lists_the_lock(tmp_path: Path) -> None:
    out = tmp_path / "sbom.cdx.json"
    program = Path(sys.executable).parent / "cyclonedx-py"  # an environment need not be activated
    subprocess.run(
        ["make", "-s", "sbom", f"SBOM={out}", f"CYCLONEDX={program}"], cwd=ROOT, check=True, capture_output=True
    )
    bill = json.loads(out.read_text())
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    assert bill["metadata"]["component"]["name"] == "fetal-planes"
    listed = {each["name"]: each for each in bill["components"]}
    assert {canonicalize_name(name): each["version"] for name, each in listed.items()} == locked_versions("service")
    assert all(each["purl"].startswith("pkg:pypi/") for each in listed.values())
    assert "sha256" in json.dumps(listed["numpy"]).lower().replace("-", "")


def test_the_threat_model_names_existing_tests() -> None:
    named = set(re.findall(r"`(tests/[\w/]+\.py)`", (ROOT / "docs" / "explanation" / "threat-model.md").read_text()))
    assert len(named) > 10
    assert not [name for name in named if not (ROOT / name).is_file()]
