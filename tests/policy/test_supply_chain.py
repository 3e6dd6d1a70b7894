"""What goes into the image: by which rules it is built, under which licenses it stands, and the list of it."""

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

from tests.policy.test_repo import LOCKS, PROJECT, locked
from tests.support.paths import ROOT

COMMANDS = dockerfile.parse_file(str(ROOT / "Dockerfile"))  # BuildKit's own parser
CHOICES = {"none": "service-none", "dicom": "service"}
FREE = re.compile(
    r"\b(MIT|BSD|Apache|PSF|Python Software Foundation|HPND|MPL|Mozilla|ISC|0BSD|Zlib|CC0)", re.IGNORECASE
)
COPYLEFT = re.compile(r"\bA?GPL|GNU (Affero )?General", re.IGNORECASE)


def of(kind: str) -> list[dockerfile.Command]:
    return [command for command in COMMANDS if command.cmd.lower() == kind]


def test_the_dockerfile_keeps_the_rules() -> None:
    """Those of hadolint that matter, by their numbers there."""
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
def test_the_image_is_built_alike_for_every_processor(name: str) -> None:
    assert not re.search(r"x86_64|amd64|aarch64|arm64|lib64|linux-gnu", (ROOT / name).read_text())


def test_hadolint_is_content() -> None:
    if not shutil.which("hadolint"):
        pytest.skip("hadolint is not installed; it is GPL, and no part of the project")
    subprocess.run(["hadolint", "Dockerfile"], cwd=ROOT, check=True)


def test_each_choice_of_extras_has_its_lock() -> None:
    ignore = (ROOT / ".dockerignore").read_text()
    for lock in CHOICES.values():
        assert (LOCKS / f"{lock}.txt").is_file()
        assert f"!requirements/{lock}.txt\n" in ignore
    assert locked("service-none").items() < locked("service").items()
    assert not {"pydicom", "highdicom", "pyjpegls"} & set(locked("service-none"))
    assert {canonicalize_name(re.split("[>=]", line)[0]) for line in PROJECT["project"]["dependencies"]} <= set(
        locked("service-none")
    )


def licenses(package: str) -> str:
    """What a package says of its license, wherever it says so."""
    told = importlib.metadata.metadata(package)
    fields = {name: told.get_all(name) or [] for name in ("License-Expression", "License", "Classifier")}
    classifiers = [line for line in fields["Classifier"] if line.startswith("License ::")]
    return "; ".join([*fields["License-Expression"], *(text[:200] for text in fields["License"]), *classifiers])


def installed() -> Iterator[str]:
    """The packages that the service's lock installs here."""
    text = (LOCKS / "service.txt").read_text()
    for package, marker in re.findall(r"^([a-z0-9._-]+)==\S+(?: ; (.*?))? \\$", text, re.MULTILINE):
        if not marker or Marker(marker).evaluate():
            yield package


def test_every_license_is_free_and_none_is_gpl() -> None:
    told = {package: licenses(package) for package in installed()}
    assert len(told) > 30
    assert not {package: text for package, text in told.items() if COPYLEFT.search(text)}
    assert not {package: text for package, text in told.items() if not FREE.search(text)}


def test_the_bill_of_materials_lists_the_lock(tmp_path: Path) -> None:
    out = tmp_path / "sbom.cdx.json"
    program = Path(sys.executable).parent / "cyclonedx-py"  # an environment need not be activated
    subprocess.run(
        ["make", "-s", "sbom", f"SBOM={out}", f"CYCLONEDX={program}"], cwd=ROOT, check=True, capture_output=True
    )
    told = json.loads(out.read_text())
    assert (told["bomFormat"], told["specVersion"]) == ("CycloneDX", "1.6")
    assert told["metadata"]["component"]["name"] == "fetal-planes"
    listed = {each["name"]: each for each in told["components"]}
    assert {canonicalize_name(name): each["version"] for name, each in listed.items()} == locked("service")
    assert all(each["purl"].startswith("pkg:pypi/") for each in listed.values())
    assert "sha256" in json.dumps(listed["numpy"]).lower().replace("-", "")


def test_the_threat_model_names_tests_that_there_are() -> None:
    named = set(re.findall(r"`(tests/[\w/]+\.py)`", (ROOT / "docs" / "explanation" / "threat-model.md").read_text()))
    assert len(named) > 10
    assert not [name for name in named if not (ROOT / name).is_file()]
