"""Help is instant: it imports nothing that a command needs to run."""

import subprocess
import sys

import pytest

from service.cli import build_parser
from tests.support.paths import ROOT

HEAVY = {
    "numpy",
    "onnxruntime",
    "cv2",
    "PIL",
    "fastapi",
    "pydantic",
    "pydicom",
    "pynetdicom",
    "httpx2",
    "pyarrow",
    "ray",
    "tqdm",
    "sqlalchemy",
    "duckdb",
}
COMMANDS = (
    "serve", "key", "listen", "classify", "explain", "cine", "exam", "sample", "process", "table", "store", "audit",
    "bench",
)  # fmt: skip
MAX_MODULES = 400  # the standard library's argparse and what it imports: about 100

PROGRAM = """
import sys
from service.cli import main
try:
    main(sys.argv[1:])
finally:
    print(*sorted(sys.modules), file=sys.stderr)
"""


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["process", "--help"], ["bench", "--help"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments], cwd=ROOT, capture_output=True, text=True, check=True
    )
    modules = run.stderr.split()
    assert not HEAVY & set(modules)
    assert len(modules) < MAX_MODULES


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        build_parser().parse_args([command, "--help"])
    assert caught.value.code == 0
    assert f"usage: fetal-planes {command}" in capsys.readouterr().out


def test_the_commands_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        build_parser().parse_args(["--help"])
    text = capsys.readouterr().out
    assert [line.split()[0] for line in text.splitlines() if line.startswith("    ") and line[4] != " "] == list(
        COMMANDS
    )
