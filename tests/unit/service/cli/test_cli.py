import io
import json
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from service import __version__, cli
from service.imaging.letterbox import crop_and_letterbox
from service.jobs.outputs import one_run
from service.schemas.manifest import Preprocessing
from tests.support import dicom_objects as dicoms
from tests.support.images import encode, speckle
from tests.support.paths import ROOT
from tests.support.phantom_package import Phantom


@pytest.fixture
def frames(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"{seed}.png" for seed in range(4)]
    for seed, path in enumerate(paths):
        path.write_bytes(encode(speckle(40 + seed, 50, seed)))
    return paths


def run(capsys: pytest.CaptureFixture[str], folder: Path, *arguments: object) -> tuple[int, list[dict[str, Any]]]:
    command, *rest = [str(each) for each in arguments]
    code = cli.main([command, "--model", str(folder), *rest])
    return code, [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_classify_prints_a_line_for_each_frame_in_order(
    capsys: pytest.CaptureFixture[str], phantom: Phantom, phantom_folder: Path, frames: list[Path]
) -> None:
    code, lines = run(capsys, phantom_folder, "classify", *frames)
    assert code == 0
    for seed, line in enumerate(lines):
        prepared, _ = crop_and_letterbox(speckle(40 + seed, 50, seed), Preprocessing(size=phantom.size, crop="none"))
        assert line["frame"]["height"] == 40 + seed
        assert line["predictions"][0]["probability"] == pytest.approx(phantom.probabilities(prepared).max(), abs=1e-5)


def test_classify_answers_in_the_shape_of_the_api(
    capsys: pytest.CaptureFixture[str], client: Any, phantom_folder: Path, frames: list[Path]
) -> None:
    _, (line,) = run(capsys, phantom_folder, "classify", frames[0])
    answer = client.post("/classify", content=frames[0].read_bytes()).json()
    assert line | {"request_id": ""} == {"file": str(frames[0]), **answer, "request_id": ""}


def test_a_refused_file_is_a_problem_on_its_line(
    capsys: pytest.CaptureFixture[str], phantom_folder: Path, frames: list[Path], tmp_path: Path
) -> None:
    text = tmp_path / "text.png"
    text.write_text("not a picture")
    code, lines = run(capsys, phantom_folder, "classify", frames[0], text, tmp_path / "absent.png", frames[1])
    assert code == 1
    assert [line.get("code") for line in lines] == [None, "unsupported-format", "not-found", None]
    assert "No such file" in lines[2]["detail"]


@pytest.mark.parametrize(("name", "kind"), [("o.jpg", "JPEG"), ("o.JPEG", "JPEG"), ("o.png", "PNG")])
def test_explain_writes_the_overlay(
    capsys: pytest.CaptureFixture[str],
    phantom_folder: Path,
    frames: list[Path],
    tmp_path: Path,
    client: Any,
    name: str,
    kind: str,
) -> None:
    output = tmp_path / name
    code, (line,) = run(capsys, phantom_folder, "explain", frames[0], "-o", output, "--target", "other")
    assert code == 0
    assert line["explanation"]["target"] == "other"
    assert line["explanation"]["overlay"] is None
    media_type = {"JPEG": "image/jpeg", "PNG": "image/png"}[kind]
    reply = client.post("/explain?target=other", content=frames[0].read_bytes(), headers={"Accept": media_type})
    assert output.read_bytes() == reply.content
    assert Image.open(io.BytesIO(output.read_bytes())).format == kind


def test_explain_of_an_unknown_plane(
    capsys: pytest.CaptureFixture[str], phantom_folder: Path, frames: list[Path], tmp_path: Path
) -> None:
    output = tmp_path / "o.jpg"
    code, (line,) = run(capsys, phantom_folder, "explain", frames[0], "-o", output, "--target", "elbow")
    assert (code, line["code"], output.exists()) == (1, "no-such-plane", False)


def test_a_folder_of_dicom_results_is_written_by_one_run_at_a_time(
    capsys: pytest.CaptureFixture[str], phantom_folder: Path, tmp_path: Path
) -> None:
    frame, folder = tmp_path / "a.dcm", tmp_path / "results"
    frame.write_bytes(dicoms.native([speckle()]))
    command = ["explain", str(frame), "--dicom", str(folder), "--model", str(phantom_folder)]
    folder.mkdir()
    with one_run(folder):
        assert cli.main(command) == 2
    assert "another run" in capsys.readouterr().err
    assert cli.main(command) == 0
    assert sorted(path.name for path in folder.iterdir()) == ["overlay.dcm", "report.dcm"]


def test_explain_reports_an_output_folder_that_does_not_exist(
    capsys: pytest.CaptureFixture[str], phantom_folder: Path, frames: list[Path], tmp_path: Path
) -> None:
    code = cli.main(["explain", str(frames[0]), "-o", str(tmp_path / "no" / "o.jpg"), "--model", str(phantom_folder)])
    assert code == 2
    assert "cannot be written: No such file" in capsys.readouterr().err


def test_an_overlay_with_another_suffix_is_refused(capsys: pytest.CaptureFixture[str], frames: list[Path]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["explain", str(frames[0]), "-o", "overlay.gif"])
    assert caught.value.code == 2
    assert "must end in .jpg, .jpeg, .png" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["classify", "x.png"], ["serve"]])
def test_a_bad_package_is_reported_in_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: list[str]
) -> None:
    assert cli.main([*command, "--model", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("fetal-planes: the model package of --model is refused: ")
    assert error.count("\n") == 1
    monkeypatch.setenv("FETAL_PLANES_MODEL", str(tmp_path))
    assert cli.main(command) == 2
    assert "FETAL_PLANES_MODEL" in capsys.readouterr().err


def test_an_invalid_setting_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, phantom_folder: Path
) -> None:
    monkeypatch.setenv("FETAL_PLANES_WORKERS", "none")
    assert cli.main(["classify", "x.png", "--model", str(phantom_folder)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("fetal-planes: invalid settings: FETAL_PLANES_WORKERS: ")
    assert error.count("\n") == 1


def test_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["--version"])
    assert caught.value.code == 0
    model = json.loads((ROOT / "service/models/default/model.json").read_text())["version"]
    assert capsys.readouterr().out.strip() == f"service {__version__}, model {model}"


def test_broken_metadata_prints_no_warning(phantom_folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "frame.tiff"
    # The resolution claims to have nine values: Pillow reads the picture and warns.
    one, nine = (struct.pack("<HHI", 282, 5, count) for count in (1, 9))
    path.write_bytes(encode(speckle(), "TIFF", dpi=(72, 72)).replace(one, nine))
    command = [sys.executable, "-m", "service.cli", "classify", "--model", str(phantom_folder), str(path)]
    run_result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert (run_result.returncode, run_result.stderr) == (0, "")
