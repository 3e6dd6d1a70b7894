"""The run directory: the split of a training is read back, never computed again."""

import json
import os
import shutil
from pathlib import Path

import pytest
import torch

from model_build.data.formats import read_data
from model_build.data.formats.fetal_planes_db import read_stretched
from model_build.data.labels import PLANES
from model_build.data.records import DataError, DatasetIndex, Record, Source
from model_build.data.splits import Split, make_split, split_stretched
from model_build.recipe import Recipe
from model_build.run_dir import (
    RunError,
    library_versions,
    read_network,
    read_planes,
    read_recipe,
    read_split,
    read_stretched_split,
    start_run,
    write_splits,
)
from tests.support.sub_plane_dataset import SUB_PLANE_LABELS, write_sub_plane_phantoms


def test_recipe_planes_and_versions_are_read_back(tiny_recipe: Recipe, tmp_path: Path) -> None:
    start_run(tmp_path / "run", tiny_recipe, PLANES)
    assert read_recipe(tmp_path / "run") == tiny_recipe
    assert read_planes(tmp_path / "run") == PLANES
    versions = json.loads((tmp_path / "run" / "versions.json").read_text())
    assert versions == library_versions()
    assert versions["torch"].split("+")[0] == torch.__version__.split("+")[0]


def test_the_written_split_is_read_back_wherever_the_data_lie(
    phantoms: Path, tiny_recipe: Recipe, tmp_path: Path
) -> None:
    data = read_data(phantoms)
    split = make_split(data, tiny_recipe)
    split.train.pop()  # such as a near-duplicate: make_split would bring it back
    write_splits(tmp_path, {"frames": (split, data.folder)})
    assert read_split(tmp_path, data) == split
    moved = read_data(shutil.copytree(phantoms, tmp_path / "moved"))
    names = [record.path.name for record in read_split(tmp_path, moved).test]
    assert names == [record.path.name for record in split.test]


def test_frames_of_a_loop_and_names_of_any_bytes_are_read_back(tmp_path: Path) -> None:
    paths = [Path("loop.dcm"), Path(os.fsdecode(b"\xff \xe4.png")), Path("脑.dcm"), Path("a\nb.dcm")]
    records = [Record(path, str(path), 0, "unknown", "train", index=index) for path in paths for index in range(3)]
    data = DatasetIndex(Path(), PLANES, records, Source("loops"))
    split = Split(records[:5], records[5:7], records[7:])
    write_splits(tmp_path, {"frames": (split, data.folder)})
    assert read_split(tmp_path, data) == split
    assert json.loads((tmp_path / "splits.json").read_text())["frames"]["train"][:3] == [
        "loop.dcm",
        "loop.dcm/1",
        "loop.dcm/2",
    ]


def test_the_split_of_stretched_frames_is_read_back(phantoms: Path, tiny_recipe: Recipe, tmp_path: Path) -> None:
    data = read_data(phantoms)
    folder = write_sub_plane_phantoms(tmp_path / "stretched", 9, SUB_PLANE_LABELS, ("Fetal brain",))
    split = make_split(data, tiny_recipe)
    stretched = split_stretched(read_stretched(folder), split)
    write_splits(tmp_path, {"frames": (split, data.folder), "stretched_frames": (stretched, folder)})
    assert read_stretched_split(tmp_path, folder) == stretched
    assert read_stretched_split(tmp_path, None) == ([], [], [])
    write_splits(tmp_path, {"frames": (split, data.folder)})
    with pytest.raises(DataError, match="was trained without stretched frames"):
        read_stretched_split(tmp_path, folder)


def test_a_run_without_a_split_and_data_without_a_frame_are_refused(
    phantoms: Path, tiny_recipe: Recipe, tmp_path: Path
) -> None:
    data = read_data(phantoms)
    with pytest.raises(DataError, match=r"has no splits\.json: train it again"):
        read_split(tmp_path, data)
    split = make_split(data, tiny_recipe)
    write_splits(tmp_path, {"frames": (split, data.folder)})
    lost = data.records.pop(data.records.index(split.val[0]))
    with pytest.raises(DataError, match=f"lacks 1 frames .* such as Images/{lost.path.name}"):
        read_split(tmp_path, data)


def test_an_unfinished_run_and_another_folder_are_named(tiny_recipe: Recipe, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"is not a run directory: it has no recipe\.json"):
        read_network(tmp_path)
    start_run(tmp_path, tiny_recipe, PLANES)
    with pytest.raises(
        RunError, match=r"unfinished run \(no epoch is complete\): continue it with `train` and --resume"
    ):
        read_network(tmp_path)
