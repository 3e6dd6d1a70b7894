"""Folders of classes: splits are never classes, system folders are ignored, nothing is left out silently."""

import os
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model_build.data.formats import read_data
from model_build.data.formats.own_data.folder_files import is_system_name
from model_build.data.formats.own_data.split_names import is_like_split, split_of
from model_build.data.records import DataError, DatasetIndex
from tests.support.dicom_objects import describe, native, write
from tests.support.images import animation, speckle
from tests.support.tiny_dataset import draw, write_tree

REPORT = "1.2.840.10008.5.1.4.1.1.88.33"  # SOP class of a comprehensive structured report


def skipped(data: DatasetIndex) -> dict[str, str]:
    return {os.path.relpath(each.path, data.folder): each.reason for each in data.skipped}


@pytest.mark.parametrize("train", ["train", "Train", "TRAIN", "training", "Training set", "train_data", "train-images"])
@pytest.mark.parametrize("val", ["val", "Valid", "VALIDATION", "dev", "val_split"])
def test_folders_of_splits_are_read_as_splits(tmp_path: Path, train: str, val: str) -> None:
    for name in (train, val, "Test"):
        write_tree(tmp_path / name, patients=False, count=3)
    data = read_data(tmp_path)
    assert [plane.id for plane in data.planes] == ["heart", "spine_view"]
    assert Counter(record.split for record in data.records) == {"train": 6, "val": 6, "test": 6}
    assert all(split_of(record.path.relative_to(tmp_path).parts[0]) == record.split for record in data.records)


@pytest.mark.parametrize("name", ["val2017", "train_1", "Test (copy)", "images_train", "eval", "hold-out", "tst"])
def test_a_folder_that_may_be_a_split_is_refused_by_name_and_never_a_class(tmp_path: Path, name: str) -> None:
    write_tree(tmp_path, ("heart", "spine", name), patients=False)
    with pytest.raises(DataError) as refusal:
        read_data(tmp_path)
    assert f"the folder {name} " in str(refusal.value)
    (tmp_path / "dataset.toml").write_text(f'[planes]\n"{name}" = "a_class"\n')
    assert [plane.id for plane in read_data(tmp_path).planes] == ["a_class", "heart", "spine"]


@pytest.mark.parametrize("name", ["testis", "valve", "training phantom view", "Vale", "contrast", "developing brain"])
def test_a_class_whose_name_only_resembles_a_split_is_a_class(name: str) -> None:
    assert not split_of(name)
    assert is_like_split(name) == (name == "training phantom view")


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        (
            ("train/heart", "train/spine", "test/heart", "kidney/a"),
            "kidney with frames is next to the splits test, train",
        ),
        (("train/heart", "train/spine", "Training/heart"), "Training and train name the same split"),
        (("heart/train", "heart/val", "spine/train"), "heart/train has the folder of a split, train, below a class"),
        (("data/train/heart", "data/test/spine"), "data/test/spine has the folder of a split, test"),
    ],
)
def test_splits_at_the_wrong_place_are_refused_by_name(tmp_path: Path, folders: tuple[str, ...], message: str) -> None:
    for number, name in enumerate(folders):
        draw(tmp_path / name / f"{number}.png", 0, number)
    with pytest.raises(DataError, match=message):
        read_data(tmp_path)


SYSTEM = ["__MACOSX", "@eaDir", ".ipynb_checkpoints", "$RECYCLE.BIN", "System Volume Information", "#recycle", ".git"]


@pytest.mark.parametrize("name", [*SYSTEM, "lost+found", "@Recycle", "__pycache__", ".Trash-1000"])
@pytest.mark.parametrize("place", [".", "train", "train/heart"])
def test_system_folders_are_ignored(tmp_path: Path, name: str, place: str) -> None:
    for side in ("train", "test"):
        write_tree(tmp_path / side, patients=False)
    expected = read_data(tmp_path)
    draw(tmp_path / place / name / "heart" / "copy.png", 0, 5)
    (tmp_path / place / "Thumbs.db").write_bytes(b"x")
    (tmp_path / place / "desktop.ini").write_bytes(b"x")
    (tmp_path / place / "._frame.png").write_bytes(b"\0\5\x16\7")
    assert read_data(tmp_path) == expected


@settings(deadline=None)
@given(st.text(st.characters(categories=("L", "N")), min_size=1))
def test_no_name_of_letters_is_a_system_name(name: str) -> None:
    assert is_system_name(name) == (name.casefold() in ("recycler", "recycled"))


def test_what_is_no_frame_is_skipped_and_listed_with_the_reason(tmp_path: Path) -> None:
    write_tree(tmp_path)
    (tmp_path / "README.txt").write_text("notes")
    (tmp_path / "heart" / "p0" / "viewer.exe").write_bytes(b"MZ")
    (tmp_path / "heart" / "p1" / "report").write_bytes(write(describe([speckle()]), None, "1.2.840.10008.1.2.1"))
    ds = describe([speckle()])
    ds.SOPClassUID = REPORT
    (tmp_path / "heart" / "p1" / "report.dcm").write_bytes(write(ds, None, "1.2.840.10008.1.2.1"))
    (tmp_path / "heart" / "p9").mkdir()
    (tmp_path / "docs" / "a").mkdir(parents=True)
    (tmp_path / "docs" / "a" / "protocol.pdf").write_bytes(b"%PDF-1.4")
    (tmp_path / "heart" / "gone.png").symlink_to("nowhere.png")
    (tmp_path / "heart" / "p0" / "round").symlink_to(tmp_path / "heart")
    data = read_data(tmp_path)
    # An ultrasound object without pixel data is a damaged frame: it is refused when it is decoded.
    assert Counter(record.path.name for record in data.records)["report"] == 1
    assert len(data.records) == 13
    assert set(skipped(data)) == {
        "README.txt", "heart/p0/viewer.exe", "heart/p1/report.dcm", "heart/p9", "docs/a/protocol.pdf", "heart/gone.png",
        "heart/p0/round",
    }  # fmt: skip
    assert skipped(data)["heart/gone.png"] == "a broken link"
    assert all(skipped(data).values())


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (("kidney/",), "no frame of the folder kidney can be read .*an empty folder"),
        (("kidney/p1/photo.HEIC", "kidney/p2/photo.HEIC"), r"no frame of the folder kidney can be read .*photo\.HEIC"),
        (("kidney/movie.mp4",), "no frame of the folder kidney"),
    ],
)
def test_a_class_does_not_vanish_with_its_files(tmp_path: Path, files: tuple[str, ...], message: str) -> None:
    write_tree(tmp_path)
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).mkdir() if name.endswith("/") else (tmp_path / name).write_bytes(b"\0\0\0\x18ftypheic")
    with pytest.raises(DataError, match=message):
        read_data(tmp_path)


def test_an_empty_split_is_refused_but_a_class_may_miss_on_one_side(tmp_path: Path) -> None:
    for side in ("train", "test"):
        write_tree(tmp_path / side)
    (tmp_path / "val").mkdir()
    with pytest.raises(DataError, match="no frame of the folder val"):
        read_data(tmp_path)
    (tmp_path / "val").rename(tmp_path / "test" / "Heart")
    (tmp_path / "test" / "Heart").rename(tmp_path / "empty")
    for frame in (tmp_path / "test" / "heart").rglob("*.png"):
        frame.unlink()
    (tmp_path / "empty").rmdir()
    assert len(read_data(tmp_path).planes) == 2


def test_dicom_without_extension_loops_and_links_are_read(tmp_path: Path) -> None:
    write_tree(tmp_path / "data", ("heart", "spine"))
    (tmp_path / "data" / "heart" / "p0" / "study" / "IM_0001").parent.mkdir()
    (tmp_path / "data" / "heart" / "p0" / "study" / "IM_0001").write_bytes(native([speckle(seed=s) for s in range(3)]))
    (tmp_path / "data" / "heart" / "p1" / "pages").write_bytes(animation("TIFF", [speckle(seed=s) for s in range(2)]))
    (tmp_path / "data" / "heart" / "p2" / "moving.png").write_bytes(
        animation("PNG", [speckle(seed=s) for s in range(4)])
    )
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "data" / "heart").rename(tmp_path / "elsewhere" / "heart")
    (tmp_path / "data" / "heart").symlink_to(tmp_path / "elsewhere" / "heart")
    data = read_data(tmp_path / "data")
    assert len(data.records) == 12 + 3 + 2 + 4
    assert {record.patient for record in data.records if record.path.name == "IM_0001"} == {"p0"}
    assert len({(record.patient, record.split) for record in data.records}) == 6
    assert not data.skipped
    assert data.notes == ("3 loops with 9 frames: every frame counts, and a loop stays on one side of the split",)


def test_a_loop_without_a_patient_is_one_patient(tmp_path: Path) -> None:
    write_tree(tmp_path, patients=False)
    (tmp_path / "heart" / "loop.dcm").write_bytes(native([speckle(seed=seed) for seed in range(5)]))
    loop = [record for record in read_data(tmp_path).records if record.path.name == "loop.dcm"]
    assert len(loop) == 5
    assert len({(record.patient, record.split) for record in loop}) == 1


def test_frames_outside_of_a_class_and_mixed_depths_are_named(tmp_path: Path) -> None:
    write_tree(tmp_path)
    draw(tmp_path / "overview.png", 0, 0)
    with pytest.raises(DataError, match=r"every frame must be in the folder of a class, but not overview\.png"):
        read_data(tmp_path)
    (tmp_path / "overview.png").rename(tmp_path / "heart" / "overview.png")
    with pytest.raises(DataError, match=r"such as .*/p0/0\.png, others are not, such as heart/overview\.png"):
        read_data(tmp_path)


@pytest.mark.parametrize(
    "name", ["Schädel".encode("latin-1"), b"fetal\nbrain", "脑".encode(), "שלום".encode(), b"\xf0\x9f"]
)
def test_a_class_patient_and_frame_may_have_any_name(tmp_path: Path, name: bytes) -> None:
    text = os.fsdecode(name)
    for number in range(6):
        draw(tmp_path / "heart" / f"p{number}" / "a.png", 0, number)
        folder = tmp_path / text / f"{number}{text}"
        folder.mkdir(parents=True)
        draw(tmp_path / "a.png", 1, 10 + number).rename(folder / f"{text}.png")
    data = read_data(tmp_path)
    assert len(data.records) == 12
    labels = " ".join(plane.label + plane.id for plane in data.planes) + " ".join(each.patient for each in data.records)
    assert labels.encode("utf-8").decode().isprintable()
