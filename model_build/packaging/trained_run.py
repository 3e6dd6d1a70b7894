"""A finished training run with its data: what a package is built from."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from model_build.data.datasets import eval_inputs
from model_build.data.formats import read_data
from model_build.data.formats.other_organs import read_other_organs
from model_build.data.frames import open_frames
from model_build.data.records import DataError, DatasetIndex, FrameLoader, Record
from model_build.data.splits import Split
from model_build.evaluation.predictions import match_planes
from model_build.models.multi_task import MultiTaskNetwork
from model_build.recipe import Recipe
from model_build.run_dir import (
    has_corrected,
    read_corrected_split,
    read_network,
    read_planes,
    read_recipe,
    read_split,
    read_stretched_split,
)


@dataclass(frozen=True)
class PackageOptions:
    """How to build a package: the name and version of the model, and more folders."""

    name: str
    version: str
    stretched: Path | None = None  # frames that the run was trained with; their test patients are evaluated too
    organs: Path | None = None  # frames of other organs, see `read_other_organs`
    corrections: Path | None = None  # corrected frames of a site that the run was trained with
    cache: Path | None = None  # decoded frames, see `open_frames`
    license: str | None = None  # of the weights
    replace: bool = False  # a package at the same path
    refit: bool = False  # the constants that an imported run keeps
    float32_only: bool = False  # no INT8
    force: bool = False  # also a model that is not better than its baseline


@dataclass(frozen=True, eq=False)
class TrainedRun:
    """A finished training run with its data."""

    recipe: Recipe
    network: MultiTaskNetwork
    data: DatasetIndex
    split: Split
    load: FrameLoader  # of records of `data`, `organs` and `corrected`
    sub_plane_split: Split | None  # records whose `plane` is their sub-plane, also stretched ones; None without a head
    organs: list[Record]  # frames of other organs, without a plane
    cache: Path | None
    corrected: list[Record]  # training frames of a site, that `improve` added

    def sub_plane_inputs(self, records: Sequence[Record]) -> torch.Tensor:
        """Return inputs uint8 [N, 1, S, S] of records of `sub_plane_split`."""
        return eval_inputs(open_frames(records, self.cache)(records), self.recipe.preprocessing)


def read_run(run: Path, data: Path, options: PackageOptions) -> TrainedRun:
    """Read the network of a run, its data and its split."""
    recipe, network, data_set = read_recipe(run), read_network(run), read_data(data)
    corrected = _read_corrected(run, data_set, options.corrections)
    if (corrected or not data_set.published) and re.sub(r"[\W_]+", "", options.name).casefold() == "fetalplanes":
        raise DataError(f"{options.name!r} is the model that ships: give a model of your own data another --name")
    if data_set.planes != read_planes(run):
        own, other = (", ".join(plane.id for plane in planes) for planes in (data_set.planes, read_planes(run)))
        raise DataError(f"{data} has the planes {own}; {run} was trained on {other}")
    split = read_split(run, data_set)
    if not split.test:
        raise DataError(f"{data} has no test frames, so the model cannot be evaluated")
    organs, sub_plane_split = read_other_organs(options.organs), None
    load = open_frames([*data_set.records, *organs, *corrected], options.cache)
    if network.sub_planes is not None:
        sides = zip(split, read_stretched_split(run, options.stretched), strict=True)
        sub_plane_split = Split(*(_by_sub_plane([*own, *stretched]) for own, stretched in sides))
    return TrainedRun(recipe, network, data_set, split, load, sub_plane_split, organs, options.cache, corrected)


def _read_corrected(run: Path, data: DatasetIndex, folder: Path | None) -> list[Record]:
    if not has_corrected(run):
        return []
    if folder is None:
        raise DataError(f"{run} was trained with corrected frames as well: name their folder with --corrections")
    return read_corrected_split(run, match_planes(read_data(folder), data.planes), folder).train


def _by_sub_plane(records: Sequence[Record]) -> list[Record]:
    return [replace(record, plane=record.sub_plane) for record in records if record.sub_plane is not None]
