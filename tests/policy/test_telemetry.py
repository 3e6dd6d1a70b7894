import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT

# Each of these mutes ONNX Runtime by itself, and would hide that nobody else does.
SILENT = {"CI", "GITHUB_ACTIONS", "ORT_DISABLE_TELEMETRY", "ORT_RUNNING_UNIT_TESTS"}


@pytest.mark.parametrize("package", ["service", "model_build"])
def test_onnx_runtime_reports_to_nobody(package: str, phantom_folder: Path, tmp_path: Path) -> None:
    """Where it reports, it first writes an identifier of the machine and a queue of events below the cache folder."""
    environment = {name: value for name, value in os.environ.items() if name not in SILENT}
    program = f"""
import {package}
import onnxruntime
onnxruntime.InferenceSession({str(phantom_folder / "classifier.onnx")!r}, providers=["CPUExecutionProvider"])
"""
    subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=environment | {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")},
        check=True,
        capture_output=True,
    )
    assert not list(tmp_path.rglob("*"))
