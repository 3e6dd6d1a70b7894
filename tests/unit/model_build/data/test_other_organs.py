from pathlib import Path

import pytest

from model_build.data.datasets import IGNORE_INDEX
from model_build.data.formats.other_organs import read_other_organs
from model_build.data.records import DataError
from tests.support.tiny_dataset import write_other_organs


def test_frames_have_their_set_and_no_plane(tmp_path: Path) -> None:
    records = read_other_organs(write_other_organs(tmp_path / "organs", ("liver", "lung"), count=2))
    assert [record.scanner for record in records] == ["liver", "liver", "lung", "lung"]
    assert {record.plane for record in records} == {IGNORE_INDEX}
    assert all(record.path.is_file() for record in records)


def test_no_folder_means_no_frames() -> None:
    assert read_other_organs(None) == []


def test_a_missing_table_or_image_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"manifest\.csv is missing"):
        read_other_organs(tmp_path)
    folder = write_other_organs(tmp_path / "organs")
    (folder / "Images" / "liver0.png").unlink()
    with pytest.raises(DataError, match=r"liver0\.png"):
        read_other_organs(folder)
