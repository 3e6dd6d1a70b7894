"""Splits, and leaks between their sides."""

import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from model_build.data.formats import read_data
from model_build.data.formats.fetal_planes_db import read_records
from model_build.data.frames import load_frames
from model_build.data.labels import PLANES
from model_build.data.leakage import check_patient_overlap, dhash, drop_near_duplicates, near_duplicates
from model_build.data.records import DataError, Dataset, DatasetIndex, Frame, Record, Source
from model_build.data.splits import (
    Split,
    carve_validation,
    check_leakage,
    describe_files,
    file_warnings,
    find_test_side,
    make_split,
    patient_folds,
    split_stretched,
    split_warnings,
)
from model_build.recipe import Recipe
from tests.support.tiny_dataset import phantom, write_labels_csv, write_tree


def textured_picture() -> Frame:
    """Return a picture without flat areas, as real frames are: in flat areas, noise decides the hash."""
    coarse = np.random.default_rng(0).integers(0, 256, (16, 17), np.uint8)
    return np.asarray(cv2.resize(coarse, (400, 300), interpolation=cv2.INTER_CUBIC), np.uint8)


def test_no_patient_is_in_two_folds(phantoms: Path) -> None:
    records = read_records(phantoms)
    folds = patient_folds(records, 4, seed=1)
    assert sorted(np.concatenate(folds)) == list(range(len(records)))
    patients = [{records[row].patient for row in fold} for fold in folds]
    assert all(not a & b for i, a in enumerate(patients) for b in patients[:i])
    assert all({records[row].plane for row in fold} == set(range(len(PLANES))) for fold in folds)


def test_validation_patients_are_not_trained_on(phantoms: Path) -> None:
    records = [record for record in read_records(phantoms) if record.split == "train"]
    train, val = carve_validation(records, 4)
    assert len(train) + len(val) == len(records)
    assert not {record.patient for record in train} & {record.patient for record in val}
    assert carve_validation(records, 4) == (train, val)


def test_stretched_frames_follow_their_patients() -> None:
    def record(patient: str, split: str, sub_plane: int | None = 0) -> Record:
        return Record(Path(patient), patient, 1, "Aloka", "test" if split == "test" else "train", sub_plane)

    split = Split([record("a", "train")], [record("b", "train")], [record("c", "test")])
    stretched = [record(patient, "train") for patient in "abcx"] + [record("y", "test"), record("a", "train", None)]
    sides = split_stretched(stretched, split)
    assert [[each.patient for each in side] for side in sides] == [["a", "x"], ["b"], ["c", "y"]]


def test_a_patient_on_both_sides_is_refused_by_name(tmp_path: Path, tiny_recipe: Recipe) -> None:
    table = write_labels_csv(tmp_path) / "labels.csv"
    table.write_text(table.read_text().replace("p2,train", "p2,test", 1))
    with pytest.raises(DataError, match=r"1 patients .* train and test: p2"):
        make_split(read_data(tmp_path), tiny_recipe)
    records = read_data(tmp_path).records
    with pytest.raises(DataError, match="p2"):
        check_patient_overlap([each for each in records if each.split == "train"], records, ("train", "all"))


def test_the_same_picture_on_both_sides_is_refused_by_name(tmp_path: Path, tiny_recipe: Recipe) -> None:
    write_labels_csv(tmp_path)
    picture = textured_picture()
    cv2.imwrite(str(tmp_path / "0-1.png"), picture)  # of the test patient
    cv2.imwrite(str(tmp_path / "3-1.jpg"), cv2.resize(picture, None, fx=0.8, fy=0.8), [cv2.IMWRITE_JPEG_QUALITY, 60])
    table = tmp_path / "labels.csv"
    table.write_text(table.read_text().replace("3-1.png", "3-1.jpg"))
    data = read_data(tmp_path)
    split = make_split(data, tiny_recipe)
    with pytest.raises(DataError, match=r"1 pairs.*3-1\.jpg and .*0-1\.png"):
        check_leakage(split, tiny_recipe, load_frames, drop=False)
    kept = check_leakage(split, tiny_recipe, load_frames, drop=True)
    assert len(kept.train) + len(kept.val) == len(split.train) + len(split.val) - 1
    assert kept.test == split.test


def test_different_pictures_are_not_near_duplicates() -> None:
    frames = [phantom(plane, seed) for plane in range(6) for seed in range(8)]
    hashes = dhash(frames)
    assert near_duplicates(hashes, hashes) == [(row, row) for row in range(len(frames))]
    picture = textured_picture()
    brighter = np.clip(picture * 0.8 + 20, 0, 255).astype(np.uint8)
    assert near_duplicates(dhash([picture]), dhash([brighter, *frames])) == [(0, 0)]
    empty = Dataset([], [])
    assert drop_near_duplicates(empty, empty, ("train", "test")).records == []


def test_a_split_by_frame_warns_of_the_leaked_frames(phantoms: Path, tiny_recipe: Recipe) -> None:
    data, recipe = read_data(phantoms), tiny_recipe.model_copy(update={"split": "frames"})
    split = make_split(data, recipe)
    (warning,) = split_warnings(data, recipe, split)
    assert warning.startswith("THE SPLIT IS BY FRAME: ")
    assert len(split.test) == 15  # a fifth of 72, rounded up
    by_patient = make_split(data, tiny_recipe.model_copy(update={"split": "patients"}))
    assert not {each.patient for each in by_patient.test} & {each.patient for each in by_patient.train}


def test_stated_validation_frames_validate(tmp_path: Path, tiny_recipe: Recipe) -> None:
    table = write_labels_csv(tmp_path) / "labels.csv"
    table.write_text(table.read_text().replace("p1,train", "p1,val").replace("p2,train", "p2,valid"))
    data = read_data(tmp_path)
    split = make_split(data, tiny_recipe)
    assert [{record.patient for record in side} for side in split] == [{"p3", "p4", "p5"}, {"p1", "p2"}, {"p0"}]
    assert len(data.side("train")) == len(split.train) + len(split.val)
    table.write_text(table.read_text().replace("p3,train", "p1,train", 1))
    with pytest.raises(DataError, match="1 patients have frames in both train and validation: p1"):
        make_split(read_data(tmp_path), tiny_recipe)


@pytest.mark.parametrize(
    ("count", "change", "message"),
    [
        (6, {"validation_folds": 40}, "has too few frames for the recipe's validation_folds, 40"),
        (4, {"split": "frames"}, "has too few frames for the recipe's split, 'frames': no class has 5"),
    ],
)
def test_a_recipe_that_does_not_fit_the_data_is_refused_with_the_folder(
    tmp_path: Path, tiny_recipe: Recipe, count: int, change: dict[str, object], message: str
) -> None:
    data = read_data(write_labels_csv(tmp_path, count=count))
    with pytest.raises(DataError, match=rf"^{re.escape(str(tmp_path))} {message}"):
        make_split(data, tiny_recipe.model_copy(update=change))


@pytest.mark.parametrize("patients", [True, False])
def test_the_test_side_has_a_name(tmp_path: Path, tiny_recipe: Recipe, *, patients: bool) -> None:
    made, stated = read_data(write_tree(tmp_path / "a", patients=patients)), write_labels_csv(tmp_path)
    recipes = [tiny_recipe.model_copy(update={"split": split}) for split in ("official", "patients", "frames")]
    random = "patients" if patients else "files"
    assert [find_test_side(made, recipe) for recipe in recipes] == [random, random, "frames"]
    assert [find_test_side(read_data(stated), recipe) for recipe in recipes] == ["stated", "patients", "frames"]


def test_a_split_by_frame_keeps_a_loop_whole(tiny_recipe: Recipe) -> None:
    records = [
        Record(Path(f"{file}.dcm"), f"p{file}", file % 2, "unknown", "train", index=index)
        for file in range(20)
        for index in range(7)
    ]
    planes = tuple(PLANES[:2])
    split = make_split(
        DatasetIndex(Path(), planes, records, Source("x")), tiny_recipe.model_copy(update={"split": "frames"})
    )
    sides = [{record.path for record in (*split.train, *split.val)}, {record.path for record in split.test}]
    assert not sides[0] & sides[1]
    assert len(sides[1]) == 4


def test_skipped_files_and_a_missing_test_side_are_stated(tmp_path: Path, tiny_recipe: Recipe) -> None:
    write_tree(tmp_path / "train", count=8)
    (tmp_path / "train" / "notes.txt").write_text("x")
    data = read_data(tmp_path)
    warnings = list(file_warnings(data, make_split(data, tiny_recipe)))
    assert warnings[0].endswith(f"of {tmp_path}: 1; `check` lists them.")
    assert "`package` will refuse" in warnings[1]
    heading, line = describe_files(data)
    assert heading == "skipped: 1"
    assert line.startswith("  train/notes.txt: ")


def test_a_plane_of_few_patients_is_split_without_a_word() -> None:
    """scikit-learn would warn, in words that a user cannot use."""
    planes = [0] * 10 + [1] * 2
    records = [Record(Path(f"{row}.png"), f"p{row}", plane, "", "train") for row, plane in enumerate(planes)]
    assert sorted(np.concatenate(patient_folds(records, 5, seed=0)).tolist()) == list(range(12))
