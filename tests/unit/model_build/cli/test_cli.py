"""The command line of the build stage."""

import subprocess
import sys
from pathlib import Path

import pytest

from model_build.cli import build_parser, main
from model_build.data.zenodo import PUBLIC_DATA_SETS

PROBE = """
import resource, sys
from model_build.cli import main
try:
    main(["--help"])
except SystemExit:
    pass
heavy = sorted({"torch", "cv2", "numpy", "pydantic", "onnxruntime"} & set(sys.modules))
usage = resource.getrusage(resource.RUSAGE_SELF)
print(heavy, usage.ru_utime + usage.ru_stime, file=sys.stderr)
"""


def test_help_answers_at_once_and_loads_nothing_heavy() -> None:
    result = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=True)
    assert "leave-one-scanner-out" in result.stdout
    heavy, seconds = result.stderr.rsplit(maxsplit=1)
    assert heavy == "[]"
    assert float(seconds) < 0.5


def test_the_package_is_runnable_as_a_module() -> None:
    call = [sys.executable, "-m", "model_build.cli", "package", "--help"]
    assert "--version" in subprocess.run(call, capture_output=True, text=True, check=True).stdout


def test_fetch_offers_every_data_set() -> None:
    for name in PUBLIC_DATA_SETS:
        assert build_parser().parse_args(["fetch", name, "folder"]).name == name


def test_package_requires_a_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        build_parser().parse_args(["package", "run", "package", "--data", "data"])
    assert "--version" in capsys.readouterr().err


def test_contact_sheets_go_to_an_ignored_folder_by_default() -> None:
    options = build_parser().parse_args(["evidence", "run", "package", "--data", "data"])
    assert options.out == Path("evidence")
    ignored = (Path(__file__).parents[4] / ".gitignore").read_text().splitlines()
    assert "/evidence/" in ignored


def test_a_missing_data_set_is_one_clear_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", str(tmp_path / "run"), "--data", str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert "FETAL_PLANES_DB_data.csv" in error
    assert error.count("\n") == 1
