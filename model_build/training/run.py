"""A training run on a data set: divide it, look for leaks, train, keep the model."""

from collections.abc import Iterable
from pathlib import Path

from model_build.data.formats import read_data
from model_build.data.frames import Opener, open_frames
from model_build.data.leakage import drop_near_duplicates
from model_build.data.records import DataSet
from model_build.data.splits import Split, limits, make_split, read_stretched, warn
from model_build.evaluation.plots import draw_curves
from model_build.recipe import Recipe
from model_build.run_dir import write_network
from model_build.training.distributed import Distributed
from model_build.training.trainer import train


def train_run(
    recipe: Recipe,
    data: Path,
    run: Path,
    distributed: Distributed,
    *,
    stretched: Path | None = None,
    resume: bool = False,
    weights: Path | None = None,
    workers: int = 0,
    cache: Path | None = None,
    drop_repeats: bool = False,
    tensorboard: bool = False,
) -> None:
    """Train by a recipe on a data set into a run's folder.

    Parameters
    ----------
    stretched
        More frames in the layout of FETAL_PLANES_DB, all of one shape: they teach sub-planes alone.
    cache, drop_repeats
        See `open_frames` and `without_repeats`; the others are those of `train`.

    Raises
    ------
    DataError
        The data are not as they should be, or a patient or a picture stands on both sides of the split.
    """
    data_set = read_data(data)
    split = make_split(data_set, recipe)
    more = read_stretched(stretched, split).train
    if distributed.is_main:
        warn(limits(data_set, recipe, split))
        frames = open_frames(data_set.records, cache)  # the leader makes the caches, then all share them
        open_frames(more, cache)
    distributed.wait()
    frames = open_frames(data_set.records, cache)
    split = check_leakage(split, recipe, frames, drop=drop_repeats)
    network = train(
        recipe,
        ([*frames(split.train), *open_frames(more, cache)(more)], [*split.train, *more]),
        (frames(split.val), split.val),
        run,
        planes=data_set.planes,
        resume=resume,
        weights=weights,
        workers=workers,
        distributed=distributed,
        tensorboard=tensorboard,
    )
    if distributed.is_main:
        write_network(run, network)
        draw_curves(run / "log.csv", run / "curves.png")


def check_leakage(split: Split, recipe: Recipe, frames: Opener, *, drop: bool) -> Split:
    """The division without a picture on both sides. Test frames are hashed for this and not looked at otherwise."""
    train, val, test = split
    sides = [(val, "validation")] if recipe.split == "frames" else [(val, "validation"), (test, "test")]
    for other, name in sides:
        rows = drop_near_duplicates((frames(train), train), (frames(other), other), ("train", name), drop=drop)
        train = [train[row] for row in rows]
    if recipe.split != "frames":
        rows = drop_near_duplicates((frames(val), val), (frames(test), test), ("validation", "test"), drop=drop)
        val = [val[row] for row in rows]
    return Split(train, val, test)


def describe(data: DataSet, split: Split) -> Iterable[str]:
    """Lines that tell a data set: its planes, and the frames and patients of each side."""
    yield f"{data.source.name}: {len(data.records)} frames, {len(data.planes)} planes"
    for name, records in zip(split._fields, split, strict=True):
        counts = ", ".join(
            f"{plane.label} {sum(record.plane == number for record in records)}"
            for number, plane in enumerate(data.planes)
        )
        patients = len({record.patient for record in records})
        yield f"{name}: {len(records)} frames of {patients} patients ({counts})"
