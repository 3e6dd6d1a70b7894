"""Sub-plane labels: which frames have one, and the sides that stretched frames belong to."""

from pathlib import Path

import pytest

from model_build.data.formats import read_data
from model_build.data.records import DataError, Record
from model_build.data.splits import Split, split_stretched
from tests.support.sub_plane_dataset import write_sub_plane_phantoms


def test_stretched_frames_follow_their_patients() -> None:
    def record(patient: str, split: str, sub_plane: int | None = 0) -> Record:
        return Record(Path(patient), patient, 1, "Aloka", "test" if split == "test" else "train", sub_plane)

    split = Split([record("a", "train")], [record("b", "train")], [record("c", "test")])
    more = [record(patient, "train") for patient in "abcx"] + [record("y", "test"), record("a", "train", None)]
    sides = split_stretched(more, split)
    assert [[each.patient for each in side] for side in sides] == [["a", "x"], ["b"], ["c", "y"]]


def test_an_unknown_brain_plane_is_an_error(tmp_path: Path) -> None:
    data = write_sub_plane_phantoms(tmp_path / "data", 3, ("Trans-atlantic",), ("Fetal brain",))
    with pytest.raises(DataError, match="Trans-atlantic"):
        read_data(data)
