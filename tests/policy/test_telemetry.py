import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT

# Each of these variables mutes ONNX Runtime and would hide that the product does not.
SILENT = {"CI", "GITHUB_ACTIONS", "ORT_DISABLE_TELEMETRY", "ORT_RUNNING_UNIT_TESTS"}


@pytest.mark.parametrize("entry_point", ["service.app", "service.cli", "service.inference.engine", "model_build.cli"])
def test_onnx_runtime_reports_to_nobody(entry_point: str, phantom_folder: Path, tmp_path: Path) -> None:
    """ONNX Runtime writes an identifier of the machine and an event queue below the cache folder before it reports."""
    environment = {name: value for name, value in os.environ.items() if name not in SILENT}
    program = f"""
import {entry_point}
from pathlib import Path
from service.inference.engine import Engine
from service.inference.package import load_package
Engine(load_package(Path({str(phantom_folder)!r})))
"""
    subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=environment | {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")},
        check=True,
        capture_output=True,
    )
    assert not [path for path in tmp_path.rglob("*") if "onnxruntime" in path.name]
