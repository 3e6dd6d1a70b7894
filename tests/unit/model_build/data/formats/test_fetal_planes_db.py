import csv
from pathlib import Path

import cv2
import numpy as np
import pytest

from model_build.data.formats.fetal_planes_db import read_records
from model_build.data.frames import load_frames
from model_build.data.records import DataError
from tests.support.sub_plane_dataset import write_sub_plane_phantoms
from tests.support.tiny_dataset import phantom, write_phantoms, write_table


def rows_of(folder: Path) -> list[list[str]]:
    with (folder / "FETAL_PLANES_DB_data.csv").open(newline="") as lines:
        return list(csv.reader(lines, delimiter=";"))[1:]


def test_reads_the_published_layout(phantoms: Path) -> None:
    records = read_records(phantoms)
    assert len(records) == 12 * 6
    assert {record.split for record in records} == {"train", "test"}
    assert {record.scanner for record in records} == {"Voluson E6", "Aloka"}
    assert sum(record.split == "test" for record in records) == 4 * 6


def test_label_comes_from_the_table_not_from_the_file_name(phantoms: Path) -> None:
    for record in read_records(phantoms):
        claimed = int(record.path.name.split("_Plane")[1][0]) - 1
        assert record.plane != claimed
        assert record.plane == (claimed + 3) % 6


def test_a_missing_image_is_named(tmp_path: Path) -> None:
    folder = write_phantoms(tmp_path / "data", patients=2)
    image = next(iter(sorted((folder / "Images").iterdir())))
    image.unlink()
    with pytest.raises(DataError, match=image.name):
        read_records(folder)


def test_an_unreadable_image_is_named(tmp_path: Path) -> None:
    folder = write_phantoms(tmp_path / "data", patients=2)
    records = read_records(folder)
    records[3].path.write_bytes(records[3].path.read_bytes()[:200])
    with pytest.raises(DataError, match=records[3].path.name):
        load_frames(records)


@pytest.mark.parametrize(("column", "value", "message"), [(2, "Fetal elbow", "Fetal elbow"), (6, "2 ", "Train is '2'")])
def test_a_wrong_value_is_named_with_its_line(tmp_path: Path, column: int, value: str, message: str) -> None:
    folder = write_phantoms(tmp_path / "data", patients=2)
    rows = rows_of(folder)
    rows[4][column] = value
    write_table(folder, rows)
    with pytest.raises(DataError, match=rf"line 6.*{message}"):
        read_records(folder)


def test_missing_columns_are_named_with_those_that_exist(tmp_path: Path) -> None:
    (tmp_path / "FETAL_PLANES_DB_data.csv").write_text("Image_name,Patient_num\na,1\n")
    message = "lacks the columns Plane, US_Machine, Train; it has image_name, patient_num, .* separated by ','"
    with pytest.raises(DataError, match=message):
        read_records(tmp_path)


def test_a_folder_without_a_table_is_explained(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"FETAL_PLANES_DB_data\.csv"):
        read_records(tmp_path)


def test_rgba_and_mixed_sizes_load_as_gray(tmp_path: Path) -> None:
    folder = write_phantoms(tmp_path / "data", patients=2)
    records = read_records(folder)
    gray = phantom(0, 0)
    cv2.imwrite(str(records[0].path), cv2.cvtColor(gray, cv2.COLOR_GRAY2BGRA))
    cv2.imwrite(str(records[1].path), np.zeros((33, 77), np.uint8))
    frames = load_frames(records)
    assert np.array_equal(frames[0], gray)
    assert frames[1].shape == (33, 77)
    assert all(frame.dtype == np.uint8 and frame.ndim == 2 for frame in frames)


def test_an_unknown_brain_plane_is_refused(tmp_path: Path) -> None:
    folder = write_sub_plane_phantoms(tmp_path / "data", 3, ("Trans-atlantic",), ("Fetal brain",))
    with pytest.raises(DataError, match="Trans-atlantic"):
        read_records(folder)


def test_carotid_arteries_among_other_are_a_group(tmp_path: Path) -> None:
    """Scanner and operator tell them apart; a table without operators says nothing about them."""
    folder = write_phantoms(tmp_path / "data", patients=4)
    rows = rows_of(folder)
    for row in rows:
        row[4] = "Other" if row[1] in ("0", "1") else "Op. 3"  # patient 1 was examined with the Aloka
    write_table(folder, rows)
    groups = {(record.patient, record.plane): record.group for record in read_records(folder)}
    assert {patient for (patient, _), group in groups.items() if group == "adult carotid artery"} == {"1"}
    assert all((group is None) == (plane != 5) for (_, plane), group in groups.items())
    table = folder / "FETAL_PLANES_DB_data.csv"
    table.write_text(table.read_text().replace("Operator", "Nothing"))
    assert {record.group for record in read_records(folder)} == {None}
