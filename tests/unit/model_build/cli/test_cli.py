"""The command line of the build stage."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from model_build.cli import build_parser, main
from model_build.data.zenodo import PUBLIC_DATA_SETS
from tests.support.dicom_objects import native
from tests.support.tiny_dataset import phantom, write_tree

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


def test_check_counts_every_frame_and_lists_what_it_skips(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = write_tree(tmp_path / "data", ("脑", "heart"), count=10)
    (data / "heart" / "p0" / "loop").write_bytes(native([phantom(2, seed) for seed in range(3)]))
    (data / "heart" / "p1" / "notes.txt").write_text("x")
    recipe = tmp_path / "tiny.toml"
    recipe.write_text('extends = "default"\nvalidation_folds = 2\n')
    assert main(["check", str(data), "--recipe", str(recipe)]) == 0, capsys.readouterr().err
    out, err = capsys.readouterr()
    assert "data: 23 frames, 2 planes" in out
    assert "1 loop with 3 frames" in out
    assert "skipped: 1\n  heart/p1/notes.txt: The bytes are" in out
    assert "WARNING: skipped files and folders of " in err


def test_check_names_every_frame_that_cannot_be_read_on_any_side(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for side in ("train", "val", "test"):
        write_tree(tmp_path / side, patients=False)
        (tmp_path / side / "heart" / "5.png").write_bytes(b"")
    assert main(["check", str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert all(f"{side}/heart/5.png: The upload is empty." in error for side in ("train", "val", "test"))


def test_check_decodes_data_that_only_test(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_tree(tmp_path / "test", patients=False)
    assert main(["check", str(tmp_path)]) == 0
    assert "12 frames, all in the test split" in capsys.readouterr().out
    (tmp_path / "test" / "heart" / "5.png").write_bytes(b"")
    assert main(["check", str(tmp_path)]) == 1
    assert "test/heart/5.png" in capsys.readouterr().err


@pytest.mark.slow
def test_labels_are_printed_on_a_terminal_of_another_script(tmp_path: Path) -> None:
    write_tree(tmp_path / "data" / "test", ("脑", "股骨"), patients=False)
    (tmp_path / "data" / "test" / "脑" / "notes 脑.txt").write_text("x")
    call = [sys.executable, "-m", "model_build.cli", "check", str(tmp_path / "data")]
    environment = os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "LC_ALL": "POSIX"}
    done = subprocess.run(call, capture_output=True, env=environment)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"test/\\u8111/notes \\u8111.txt" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["check", "data", "--recipe", "no-such"],
            "no recipe no-such: the choices are default, distill, edge, improve, lite2, paper",
        ),
        (["check", "data", "--recipe", "data"], "no recipe data: the choices are"),
        (["check", "no such data"], "no such data is neither a folder nor a table"),
        (["train", "file/run", "--data", "data", "--recipe", "default"], "file"),
    ],
)
def test_mistakes_are_explained(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    write_tree(tmp_path / "data", count=20)
    (tmp_path / "file").write_text("x")
    assert main(arguments) == 1
    assert message in capsys.readouterr().err
