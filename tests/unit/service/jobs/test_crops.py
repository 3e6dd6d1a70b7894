"""Crops for curation: the sector alone, under names that tell nothing, in folders that the build stage reads."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from model_build.data.formats import read_data
from service.sample.frames import draw_frame
from service.settings import SHIPPED_MODEL
from tests.support import dicom_objects as dicoms
from tests.support.job_inputs import process, result_rows

FRAMES = 10


def source(folder: Path) -> Path:
    """Two objects each of five patients, the least that the build stage splits, with text outside the sector."""
    folder.mkdir()
    for number in range(FRAMES):
        frame = draw_frame(("brain", "femur")[number // 5], seed=number).copy()
        cv2.putText(frame, "ZANZIBAR", (2, 14), cv2.FONT_HERSHEY_PLAIN, 1, 255, 1)
        data = dicoms.native([frame], SOPInstanceUID=f"1.2.{number}", PatientID=f"QK-PLANTED-{number // 2}")
        (folder / f"QK-PLANTED-{number}.dcm").write_bytes(data)
    return folder


@pytest.fixture
def crops(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    assert process(SHIPPED_MODEL, source(tmp_path / "in"), tmp_path / "out", "--crops", tmp_path / "crops") == 0
    assert "text inside the sector stays" in capsys.readouterr().err
    assert len(list((tmp_path / "crops").rglob("*.png"))) == FRAMES
    return tmp_path / "crops"


def test_the_build_stage_reads_the_folder_with_planes_and_patients(crops: Path, tmp_path: Path) -> None:
    index = read_data(crops)
    named = [row["answer"] for row in result_rows(tmp_path / "out") if not row["answer"]["abstain"]]
    assert len(index.records) == len(named) == FRAMES
    assert {path.parent.parent.name for path in crops.rglob("*.png")} == {
        each["predictions"][0]["plane"] for each in named
    }
    assert len({record.patient for record in index.records}) == FRAMES // 2


def test_nothing_of_the_patient_is_in_names_or_files(crops: Path, tmp_path: Path) -> None:
    for path in crops.rglob("*"):
        assert "PLANTED" not in str(path.relative_to(crops))
        if path.is_file():
            assert b"PLANTED" not in path.read_bytes()
    assert (tmp_path / "out" / "crops.key").stat().st_mode & 0o077 == 0
    assert not list(crops.rglob("*.key"))


def test_what_is_outside_the_sector_is_black(crops: Path) -> None:
    for path in crops.rglob("*.png"):
        picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        assert picture is not None
        assert picture.ndim == 2
        assert (picture[:6, :6] == 0).all()
        assert (picture[:6, -6:] == 0).all()
        assert np.count_nonzero(picture) > 0.2 * picture.size


def test_a_repetition_adds_nothing_and_another_choice_is_refused(crops: Path, tmp_path: Path) -> None:
    before = sorted(crops.rglob("*.png"))
    assert process(SHIPPED_MODEL, tmp_path / "in", tmp_path / "out", "--crops", crops) == 0
    assert sorted(crops.rglob("*.png")) == before
    assert process(SHIPPED_MODEL, tmp_path / "in", tmp_path / "out") == 2
    assert json.loads((tmp_path / "out" / "job.json").read_text())["crops"] is True


def test_crops_must_not_be_among_the_frames(tmp_path: Path) -> None:
    folder = source(tmp_path / "in")
    assert process(SHIPPED_MODEL, folder, tmp_path / "out", "--crops", folder / "crops") == 2
