"""`fetal-planes process --every`, `--limit` and `--best`: fewer frames of a loop."""

import json
from pathlib import Path
from typing import Any

import pytest

from service.cli import main
from tests.support import dicom_objects as dicoms
from tests.support.images import animation, encode, speckle
from tests.support.job_inputs import process, result_frames, result_rows
from tests.support.phantom_package import Phantom
from tests.support.phantom_stills import still
from tests.support.videos import LOSSLESS, write_video

LOOP = ["fetal_femur"] * 6 + ["maternal_cervix"] * 6


@pytest.fixture
def loops(tmp_path: Path, phantom: Phantom) -> Path:
    """A loop of twelve frames as DICOM and as PNG, and a still."""
    folder = tmp_path / "loops"
    folder.mkdir()
    frames = [still(phantom, plane, 3) for plane in LOOP]
    (folder / "loop.dcm").write_bytes(dicoms.native(frames))
    (folder / "loop.png").write_bytes(animation("PNG", frames))
    (folder / "still.png").write_bytes(encode(still(phantom, "fetal_brain", 1)))
    return folder


@pytest.mark.parametrize(
    ("options", "indices"),
    [
        (["--every", "5"], [0, 5, 10]),
        (["--limit", "2"], [0, 1]),
        (["--every", "4", "--limit", "2"], [0, 4]),
        (["--limit", "1"], [0]),
    ],
)
def test_only_the_selected_frames_have_a_row(
    loops: Path, out: Path, phantom_folder: Path, options: list[str], indices: list[int]
) -> None:
    expected = sorted([("still.png", 0), *((name, index) for name in ("loop.dcm", "loop.png") for index in indices)])
    for _ in range(2):
        assert process(phantom_folder, loops, out, *options) == 0
        assert sorted(result_frames(out)) == expected


@pytest.mark.parametrize("options", [[], ["--every", "2"]])
def test_a_loop_has_the_best_frames_that_cine_finds(
    loops: Path, out: Path, phantom_folder: Path, capsys: pytest.CaptureFixture[str], options: list[str]
) -> None:
    assert process(phantom_folder, loops, out, "--best", "--reports", *options) == 0
    capsys.readouterr()
    main(["cine", str(loops / "loop.dcm"), "--model", str(phantom_folder), *options])
    best = [each["frame"] for each in json.loads(capsys.readouterr().out)["best"]]
    assert len(best) == 2
    assert sorted(result_frames(out)) == sorted(
        [("still.png", 0), *((name, index) for name in ("loop.dcm", "loop.png") for index in best)]
    )
    assert len(list((out / "dicom").iterdir())) == 2
    before = (out / "frames.jsonl").read_bytes()
    assert process(phantom_folder, loops, out, "--best", "--reports", *options) == 0
    assert (out / "frames.jsonl").read_bytes() == before


def damaged_loop(phantom: Phantom, damaged: int) -> bytes:
    """Return a loop with zeros in place of a JPEG."""
    frames = [still(phantom, plane, 3) for plane in LOOP]
    codes = iter([bytes(40) if index == damaged else dicoms.jpeg(frame) for index, frame in enumerate(frames)])
    return dicoms.compressed(frames, dicoms.BASELINE, lambda _: next(codes), "MONOCHROME2")


@pytest.mark.parametrize("damaged", [0, 4])
@pytest.mark.parametrize(("options", "answers"), [([], 11), (["--best"], 2)])
def test_a_damaged_frame_keeps_its_row_and_hides_no_other(
    tmp_path: Path, out: Path, phantom: Phantom, phantom_folder: Path, damaged: int, options: list[str], answers: int
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "loop.dcm").write_bytes(damaged_loop(phantom, damaged))
    assert process(phantom_folder, tmp_path / "in", out, *options) == 1
    rows = result_rows(out)
    assert [row["frame"] for row in rows if row["problem"]] == [damaged]
    assert len([row for row in rows if row["answer"]]) == answers


def test_a_loop_without_a_plane_has_its_first_frame(tmp_path: Path, out: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "loop.dcm").write_bytes(dicoms.native([speckle(seed=seed) for seed in range(5)]))
    model = Phantom(min_probability=1.0).write(tmp_path / "model")
    assert process(model, tmp_path / "in", out, "--best") == 0
    assert result_frames(out) == [("loop.dcm", 0)]


@pytest.mark.parametrize(
    ("options", "indices"), [(["--fps", "5"], [0, 4, 8]), (["--fps", "10", "--limit", "2"], [0, 2])]
)
def test_frames_of_a_video_are_chosen_by_time_again_when_a_job_continues(
    tmp_path: Path, out: Path, phantom: Phantom, phantom_folder: Path, options: list[str], indices: list[int]
) -> None:
    (tmp_path / "in").mkdir()
    frames = [still(phantom, plane, 3) for plane in LOOP]
    (tmp_path / "in" / "loop.avi").write_bytes(write_video(frames, "avi", 20, LOSSLESS))
    (tmp_path / "in" / "still.png").write_bytes(encode(frames[0]))
    expected = [*(("loop.avi", index) for index in indices), ("still.png", 0)]
    for lines in (None, 1, 2):
        if lines is not None:  # as after a kill
            rows = (out / "frames.jsonl").read_bytes().splitlines(keepends=True)
            (out / "frames.jsonl").write_bytes(b"".join(rows[:lines]))
        assert process(phantom_folder, tmp_path / "in", out, *options) == 0
        assert sorted(result_frames(out)) == expected
    assert process(phantom_folder, tmp_path / "in", out, "--best") == 2


def test_frames_of_a_dicom_loop_are_chosen_by_time(tmp_path: Path, out: Path, phantom_folder: Path) -> None:
    (tmp_path / "in").mkdir()
    frames = [speckle(seed=seed) for seed in range(5)]
    vector: dict[str, Any] = {"FrameTimeVector": [0, 100, 100, 900, 20], "FrameIncrementPointer": 0x0018_1065}
    (tmp_path / "in" / "loop.dcm").write_bytes(dicoms.native(frames, **vector))
    (tmp_path / "in" / "timeless.dcm").write_bytes(dicoms.native(frames, FrameTime=None, FrameIncrementPointer=None))
    assert process(phantom_folder, tmp_path / "in", out, "--fps", "1") == 0
    expected = [("loop.dcm", 0), ("loop.dcm", 3), *(("timeless.dcm", number) for number in range(5))]
    assert sorted(result_frames(out)) == expected
