"""The client is light: a program that only sends requests must not load the service."""

import subprocess
import sys

import pytest

from tests.support.paths import ROOT

PROGRAM = """
import sys
from {module} import {name}
heavy = {{"cv2", "fastapi", "numpy", "onnxruntime", "PIL", "pydicom", "starlette", "uvicorn"}}
ours = {{"service", "service.errors", "service.client", "service.schemas"}}
loaded = {{name for name in sys.modules if name in heavy}}
foreign = {{name for name in sys.modules if name.startswith("service") and ".".join(name.split(".")[:2]) not in ours}}
sys.exit(", ".join(sorted(loaded | foreign)) or 0)
"""


@pytest.mark.parametrize(("module", "name"), [("service.client", "Client"), ("service.schemas.exam", "ExamReport")])
def test_client_loads_no_part_of_the_service(module: str, name: str) -> None:
    command = [sys.executable, "-c", PROGRAM.format(module=module, name=name)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
