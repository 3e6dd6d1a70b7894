"""Inputs that show no plane."""

from pathlib import Path

import numpy as np

from model_build.data.formats import read_data
from model_build.data.formats.other_organs import read_other_organs
from model_build.data.frames import load_frames
from model_build.data.records import Dataset, Record
from model_build.packaging.ood.negative_inputs import OTHER_ORGANS, negative_inputs
from model_build.recipe import Recipe
from tests.support.tiny_dataset import write_other_organs


def dataset(records: list[Record]) -> Dataset:
    return Dataset(load_frames(records), records)


def test_each_plane_gives_as_many_and_each_texture_knows_its_set(
    phantoms: Path, tmp_path: Path, tiny_recipe: Recipe
) -> None:
    records = read_data(phantoms).records
    own = dataset([each for each in records if each.plane != 4] + [each for each in records if each.plane == 4][:2])
    organs = dataset(read_other_organs(write_other_organs(tmp_path / "organs", count=3)))
    kinds = {each.kind: each for each in negative_inputs(own, organs, tiny_recipe)}
    assert [*kinds] == [OTHER_ORGANS, "texture of other organs", "blocks shuffled", "warped", "color flow, gray"]
    for each in kinds.values():
        assert each.inputs.shape == (len(each.sets), 1, 64, 64)
    organ, texture = kinds[OTHER_ORGANS], kinds["texture of other organs"]
    assert organ.served == 6
    assert organ.sets.tolist() == ["liver"] * 3 + ["muscle"] * 3 + ["liver"] * 3 + ["muscle"] * 3
    assert set(texture.sets) == {"liver", "muscle"}
    # Five planes have twelve frames, one has two: of those, no frame is used more than six times.
    assert len(texture.sets) == len(kinds["warped"].sets) == 5 * 72 + 12
    assert [kind for kind, each in kinds.items() if each.keeps_probe] == [*kinds][1:4]


def test_without_other_organs_the_kinds_of_own_frames_remain(phantoms: Path, tiny_recipe: Recipe) -> None:
    own = dataset(read_data(phantoms).records[:12])
    kinds = negative_inputs(own, dataset([]), tiny_recipe)
    assert [each.kind for each in kinds] == ["blocks shuffled", "warped", "color flow, gray"]
    assert not any(np.char.str_len(each.sets).any() for each in kinds)
    again = negative_inputs(own, dataset([]), tiny_recipe)
    assert all((first.inputs == second.inputs).all() for first, second in zip(kinds, again, strict=True))
