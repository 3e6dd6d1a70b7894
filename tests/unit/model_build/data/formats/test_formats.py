from collections import Counter
from pathlib import Path

import pytest

from model_build.data.formats import read_data
from model_build.data.formats.african_planes import AFRICAN_TABLE
from model_build.data.formats.own_data.index import NO_PATIENTS
from model_build.data.formats.own_data.plane_ids import plane_id
from model_build.data.records import DataError, DatasetIndex
from model_build.data.splits import make_split, split_warnings
from model_build.recipe import Recipe
from tests.support.tiny_dataset import draw, write_labels_csv, write_tree


def sides(data: DatasetIndex) -> dict[str, set[str]]:
    return {side: {record.patient for record in data.records if record.split == side} for side in ("train", "test")}


def test_class_folders_with_patient_folders(tmp_path: Path) -> None:
    data = read_data(write_tree(tmp_path / "mine"))
    assert [(plane.id, plane.label) for plane in data.planes] == [("heart", "Heart"), ("spine_view", "Spine view")]
    assert all(data.planes[record.plane].id == plane_id(record.path.parts[-3]) for record in data.records)
    assert data.warnings == ()
    assert not sides(data)["train"] & sides(data)["test"]
    assert len(sides(data)["test"]) >= 1
    assert data.source.name == "mine"


def test_unknown_patients_give_a_warning(tmp_path: Path, tiny_recipe: Recipe) -> None:
    data = read_data(write_tree(tmp_path / "mine", patients=False))
    assert data.warnings == (NO_PATIENTS,)
    assert split_warnings(data, tiny_recipe, make_split(data, tiny_recipe)) == (NO_PATIENTS,)


def test_train_and_test_folders_define_the_split(tmp_path: Path) -> None:
    write_tree(tmp_path / "train", patients=False)
    write_tree(tmp_path / "test", patients=False)
    data = read_data(tmp_path)
    assert Counter(record.split for record in data.records) == {"train": 12, "test": 12}


def test_a_table_with_any_number_of_classes(tmp_path: Path) -> None:
    data = read_data(write_labels_csv(tmp_path, ("path", "label", "patient", "scanner", "split")))
    assert [plane.id for plane in data.planes] == ["heart", "kidney", "spine"]
    assert sides(data)["test"] == {"p0"}
    assert {record.scanner for record in data.records} == {"Aloka"}
    assert read_data(tmp_path / "labels.csv").records == data.records


def test_dataset_toml_states_the_source(tmp_path: Path) -> None:
    write_tree(tmp_path)
    (tmp_path / "dataset.toml").write_text('name = "Hearts"\nlicense = "CC0"\n')
    assert (read_data(tmp_path).source.name, read_data(tmp_path).source.license) == ("Hearts", "CC0")
    (tmp_path / "dataset.toml").write_text('author = "A"\n')
    with pytest.raises(DataError, match="author is not known"):
        read_data(tmp_path)


def test_known_planes_keep_their_ids_and_other_comes_last(tmp_path: Path) -> None:
    data = read_data(write_tree(tmp_path, ("other", "Fetal brain", "spine")))
    assert [(plane.id, plane.label) for plane in data.planes] == [
        ("fetal_brain", "Fetal brain"),
        ("spine", "Spine"),
        ("other", "Other"),
    ]


@pytest.mark.parametrize(("classes", "message"), [(("heart",), "one class"), (("heart", "Heart"), "same id")])
def test_labels_that_cannot_be_served_are_refused(tmp_path: Path, classes: tuple[str, ...], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_data(write_tree(tmp_path, classes))


def test_a_table_with_a_wrong_split_or_patient_is_refused_with_its_line(tmp_path: Path) -> None:
    table = write_labels_csv(tmp_path) / "labels.csv"
    text = table.read_text()
    table.write_text(text.replace("p1,train", "p1,trian", 1))
    with pytest.raises(DataError, match=r"line 5: split is 'trian'"):
        read_data(tmp_path)
    table.write_text(text.replace("p1,train", ",train", 1))
    with pytest.raises(DataError, match=r"line 5: no patient"):
        read_data(tmp_path)


def test_too_few_patients_for_a_split_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="too few patients"):
        read_data(write_labels_csv(tmp_path, ("path", "label", "patient"), count=3))


def test_african_planes_are_test_frames_with_patients_per_center(tmp_path: Path) -> None:
    lines = ["Patient_num,Plane,Train,Center,Filename"]
    for center in ("Ghana", "Egypt"):
        draw(tmp_path / center / "patient001_plane0.png", 1, 0)
        lines.append(f"1,Fetal brain,1,{center},patient001_plane0")
    (tmp_path / AFRICAN_TABLE).write_text("\n".join(lines) + "\n")
    data = read_data(tmp_path)
    assert {record.patient for record in data.records} == {"Ghana 1", "Egypt 1"}
    assert {record.split for record in data.records} == {"test"}
    assert {data.planes[record.plane].id for record in data.records} == {"fetal_brain"}
