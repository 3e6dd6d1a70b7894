from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from model_build.data.formats import AFRICAN_TABLE, NO_PATIENTS, plane_id, read_data
from model_build.data.leakage import check_patient_overlap, drop_near_duplicates, fingerprints, near_duplicates
from model_build.data.records import DataError, DataSet, load_frames
from model_build.data.splits import limits, make_split
from model_build.recipe import Recipe
from model_build.training.run import check_leakage
from tests.support.tiny_dataset import draw, phantom, write_tree


def write_table(folder: Path, columns: tuple[str, ...] = ("path", "label", "patient", "split"), women: int = 6) -> Path:
    lines = [",".join(columns)]
    for woman in range(women):
        for plane, label in enumerate(("Heart", "Spine", "Kidney")):
            draw(folder / f"{woman}-{plane}.png", plane, woman * 6 + plane)
            values = {"path": f"{woman}-{plane}.png", "label": label, "patient": f"p{woman}"}
            values |= {"split": "test" if woman == 0 else "train", "machine": "Aloka"}
            lines.append(",".join(values[column] for column in columns))
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    return folder


def coarse_picture() -> NDArray[np.uint8]:
    """One without flat areas, as a real frame: there a hash is not a matter of noise."""
    coarse = np.random.default_rng(0).integers(0, 256, (16, 17), np.uint8)
    return np.asarray(cv2.resize(coarse, (400, 300), interpolation=cv2.INTER_CUBIC), np.uint8)


def sides(data: DataSet) -> dict[str, set[str]]:
    return {side: {record.patient for record in data.records if record.split == side} for side in ("train", "test")}


def test_a_folder_a_class_and_a_folder_a_patient(tmp_path: Path) -> None:
    data = read_data(write_tree(tmp_path / "mine"))
    assert [(plane.id, plane.label) for plane in data.planes] == [("heart", "Heart"), ("spine_view", "Spine view")]
    assert all(data.planes[record.plane].id == plane_id(record.path.parts[-3]) for record in data.records)
    assert data.warnings == ()
    assert not sides(data)["train"] & sides(data)["test"]
    assert len(sides(data)["test"]) >= 1
    assert data.source.name == "mine"


def test_unknown_patients_are_warned_of_loudly(tmp_path: Path, tiny_recipe: Recipe) -> None:
    data = read_data(write_tree(tmp_path / "mine", patients=False))
    assert data.warnings == (NO_PATIENTS,)
    assert limits(data, tiny_recipe, make_split(data, tiny_recipe)) == (NO_PATIENTS,)


def test_train_and_test_folders_are_the_split(tmp_path: Path) -> None:
    write_tree(tmp_path / "train", patients=False)
    write_tree(tmp_path / "test", patients=False)
    data = read_data(tmp_path)
    assert Counter(record.split for record in data.records) == {"train": 12, "test": 12}


def test_a_table_with_any_number_of_classes(tmp_path: Path) -> None:
    data = read_data(write_table(tmp_path, ("path", "label", "patient", "machine", "split")))
    assert [plane.id for plane in data.planes] == ["heart", "kidney", "spine"]
    assert sides(data)["test"] == {"p0"}
    assert {record.scanner for record in data.records} == {"Aloka"}
    assert read_data(tmp_path / "labels.csv").records == data.records


def test_a_data_set_may_state_where_it_is_from(tmp_path: Path) -> None:
    write_tree(tmp_path)
    (tmp_path / "dataset.toml").write_text('name = "Hearts"\nlicense = "CC0"\n')
    assert (read_data(tmp_path).source.name, read_data(tmp_path).source.license) == ("Hearts", "CC0")
    (tmp_path / "dataset.toml").write_text('licence = "CC0"\n')
    with pytest.raises(DataError, match="licence is not known"):
        read_data(tmp_path)


def test_known_planes_keep_their_ids_and_other_comes_last(tmp_path: Path) -> None:
    data = read_data(write_tree(tmp_path, ("other", "Fetal brain", "spine")))
    assert [(plane.id, plane.label) for plane in data.planes] == [
        ("fetal_brain", "Fetal brain"),
        ("spine", "Spine"),
        ("other", "Other"),
    ]


@pytest.mark.parametrize(
    ("classes", "said"), [(("heart",), "one class"), (("heart", "Heart"), "same id"), (("心", "heart"), "no id")]
)
def test_labels_that_cannot_be_served_are_refused(tmp_path: Path, classes: tuple[str, ...], said: str) -> None:
    with pytest.raises(DataError, match=said):
        read_data(write_tree(tmp_path, classes))


def test_a_table_with_a_wrong_split_or_patient_is_refused_with_its_line(tmp_path: Path) -> None:
    table = write_table(tmp_path) / "labels.csv"
    text = table.read_text()
    table.write_text(text.replace("p1,train", "p1,trian", 1))
    with pytest.raises(DataError, match=r"line 5: split is 'trian'"):
        read_data(tmp_path)
    table.write_text(text.replace("p1,train", ",train", 1))
    with pytest.raises(DataError, match=r"line 5: no patient"):
        read_data(tmp_path)


def test_too_few_patients_for_a_split_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="too few patients"):
        read_data(write_table(tmp_path, ("path", "label", "patient"), women=3))


def test_the_african_set_is_for_testing_and_counts_patients_by_center(tmp_path: Path) -> None:
    lines = ["Patient_num,Plane,Train,Center,Filename"]
    for center in ("Ghana", "Egypt"):
        draw(tmp_path / center / "patient001_plane0.png", 1, 0)
        lines.append(f"1,Fetal brain,1,{center},patient001_plane0")
    (tmp_path / AFRICAN_TABLE).write_text("\n".join(lines) + "\n")
    data = read_data(tmp_path)
    assert {record.patient for record in data.records} == {"Ghana 1", "Egypt 1"}
    assert {record.split for record in data.records} == {"test"}
    assert {data.planes[record.plane].id for record in data.records} == {"fetal_brain"}


def test_a_patient_on_both_sides_is_an_error_that_names_her(tmp_path: Path, tiny_recipe: Recipe) -> None:
    table = write_table(tmp_path) / "labels.csv"
    table.write_text(table.read_text().replace("p2,train", "p2,test", 1))
    with pytest.raises(DataError, match=r"1 patients .* train and test: p2"):
        make_split(read_data(tmp_path), tiny_recipe)
    records = read_data(tmp_path).records
    with pytest.raises(DataError, match="p2"):
        check_patient_overlap([each for each in records if each.split == "train"], records, ("train", "all"))


def test_the_same_picture_on_both_sides_is_an_error_that_names_it(tmp_path: Path, tiny_recipe: Recipe) -> None:
    write_table(tmp_path)
    picture = coarse_picture()
    cv2.imwrite(str(tmp_path / "0-1.png"), picture)  # of the test woman
    cv2.imwrite(str(tmp_path / "3-1.jpg"), cv2.resize(picture, None, fx=0.8, fy=0.8), [cv2.IMWRITE_JPEG_QUALITY, 60])
    table = tmp_path / "labels.csv"
    table.write_text(table.read_text().replace("3-1.png", "3-1.jpg"))
    data = read_data(tmp_path)
    split = make_split(data, tiny_recipe)
    with pytest.raises(DataError, match=r"1 pairs.*3-1\.jpg and .*0-1\.png"):
        check_leakage(split, tiny_recipe, load_frames, drop=False)
    kept = check_leakage(split, tiny_recipe, load_frames, drop=True)
    assert len(kept.train) + len(kept.val) == len(split.train) + len(split.val) - 1


def test_different_pictures_are_not_taken_for_the_same() -> None:
    frames = [phantom(plane, seed) for plane in range(6) for seed in range(8)]
    prints = fingerprints(frames)
    assert near_duplicates(prints, prints) == [(row, row) for row in range(len(frames))]
    picture = coarse_picture()
    brighter = np.clip(picture * 0.8 + 20, 0, 255).astype(np.uint8)
    assert near_duplicates(fingerprints([picture]), fingerprints([brighter, *frames])) == [(0, 0)]
    assert drop_near_duplicates(([], []), ([], []), ("train", "test")) == []


def test_a_split_by_frame_says_how_many_women_it_leaks(phantoms: Path, tiny_recipe: Recipe) -> None:
    data, recipe = read_data(phantoms), tiny_recipe.model_copy(update={"split": "frames"})
    split = make_split(data, recipe)
    (said,) = limits(data, recipe, split)
    assert said.startswith("THE SPLIT IS BY FRAME: ")
    assert len(split.test) == 15  # a fifth of 72, rounded up
    by_patient = make_split(data, tiny_recipe.model_copy(update={"split": "patients"}))
    assert not {each.patient for each in by_patient.test} & {each.patient for each in by_patient.train}
