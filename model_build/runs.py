"""A training run on a data set: divide it, look for leaks, train, keep the model."""

import sys
from collections.abc import Iterable
from pathlib import Path

from model_build.data import DataSet
from model_build.figures import draw_curves
from model_build.frame_cache import Opener, open_frames
from model_build.layouts import read_data
from model_build.leaks import without_repeats
from model_build.parallel import Team
from model_build.recipe import Recipe
from model_build.run_folder import write_network
from model_build.splits import Division, divide, limits, read_stretched
from model_build.train import train


def train_run(
    recipe: Recipe,
    data: Path,
    run: Path,
    team: Team,
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
    division = divide(data_set, recipe)
    more = read_stretched(stretched, division).train
    if team.leads:
        warn(limits(data_set, recipe, division))
        frames = open_frames(data_set.records, cache)  # the leader makes the caches, then all share them
        open_frames(more, cache)
    team.wait()
    frames = open_frames(data_set.records, cache)
    division = apart(division, recipe, frames, drop=drop_repeats)
    network = train(
        recipe,
        ([*frames(division.train), *open_frames(more, cache)(more)], [*division.train, *more]),
        (frames(division.held), division.held),
        run,
        planes=data_set.planes,
        resume=resume,
        weights=weights,
        workers=workers,
        team=team,
        tensorboard=tensorboard,
    )
    if team.leads:
        write_network(run, network)
        draw_curves(run / "log.csv", run / "curves.png")


def apart(division: Division, recipe: Recipe, frames: Opener, *, drop: bool) -> Division:
    """The division without a picture on both sides. Test frames are hashed for this and not looked at otherwise."""
    train, held, test = division
    sides = [(held, "validation")] if recipe.split == "frames" else [(held, "validation"), (test, "test")]
    for other, name in sides:
        rows = without_repeats((frames(train), train), (frames(other), other), ("train", name), drop=drop)
        train = [train[row] for row in rows]
    if recipe.split != "frames":
        rows = without_repeats((frames(held), held), (frames(test), test), ("validation", "test"), drop=drop)
        held = [held[row] for row in rows]
    return Division(train, held, test)


def describe(data: DataSet, division: Division) -> Iterable[str]:
    """Lines that tell a data set: its planes, and the frames and patients of each side."""
    yield f"{data.source.name}: {len(data.records)} frames, {len(data.planes)} planes"
    for name, records in zip(division._fields, division, strict=True):
        counts = ", ".join(
            f"{plane.label} {sum(record.plane == number for record in records)}"
            for number, plane in enumerate(data.planes)
        )
        patients = len({record.patient for record in records})
        yield f"{name}: {len(records)} frames of {patients} patients ({counts})"


def warn(sentences: Iterable[str]) -> None:
    """Say on standard error what limits the trust in a run."""
    for sentence in sentences:
        sys.stderr.write(f"WARNING: {sentence}\n")
