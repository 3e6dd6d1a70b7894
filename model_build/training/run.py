"""A training run on a data set: split it, check it for leaks, train, write the weights."""

from pathlib import Path

from model_build.data.formats import read_data
from model_build.data.formats.fetal_planes_db import read_stretched
from model_build.data.frames import open_frames
from model_build.data.records import Dataset
from model_build.data.splits import (
    Split,
    check_leakage,
    file_warnings,
    make_split,
    split_stretched,
    split_warnings,
    warn,
)
from model_build.evaluation.plots import draw_curves
from model_build.models.classifier import check_architecture
from model_build.new_run import check_new, check_same_recipe
from model_build.recipe import Recipe
from model_build.run_dir import (
    LOG,
    MODEL,
    SPLITS,
    SplitKind,
    read_split,
    read_stretched_split,
    write_network,
    write_splits,
)
from model_build.training.trainer import DEFAULT_OPTIONS, RunOptions, Trainer
from service.schemas.file_names import path_text


def train_run(
    recipe: Recipe, data: Path, run: Path, options: RunOptions = DEFAULT_OPTIONS, stretched: Path | None = None
) -> None:
    """Train by a recipe on a data set, and write the run's folder.

    `stretched` is a folder of more frames, in the layout of FETAL_PLANES_DB but all resized to one shape: they train
    the sub-plane head only. A finished run is not trained further.

    Raises DataError where the data do not match their layout or a patient or a picture is on two sides of the split;
    RunError where the folder holds a run already, or one of another recipe is resumed; and ValueError where the
    backbone or the attention is unknown or the batch size does not fit the micro-batches.
    """
    check_architecture(recipe.network)
    if not options.resume:
        check_new(run)
    check_same_recipe(run, recipe)
    if (run / MODEL).is_file():
        warn([f"{path_text(run)} is a finished run: nothing is left to train."])
        return
    index, extra, distributed = read_data(data), read_stretched(stretched), options.distributed
    # A resumed run keeps its split; nothing computes it a second time.
    resumed = options.resume and (run / SPLITS).exists()
    split = read_split(run, index) if resumed else make_split(index, recipe)
    if distributed.is_main:
        warn((*split_warnings(index, recipe, split), *file_warnings(index, split)))
        open_frames(index.records, options.cache)  # the main process fills the cache, then all processes map it
        open_frames(extra, options.cache)
    distributed.barrier()
    load, load_extra = open_frames(index.records, options.cache), open_frames(extra, options.cache)
    if resumed:
        extra_split = read_stretched_split(run, stretched)
    else:
        split = check_leakage(split, recipe, load, drop=options.drop_near_duplicates)
        extra_split = split_stretched(extra, split)
    if distributed.is_main and not resumed:
        splits: dict[SplitKind, tuple[Split, Path]] = {"frames": (split, index.folder)}
        if stretched:
            splits["stretched_frames"] = (extra_split, stretched)
        write_splits(run, splits)
    train_data = Dataset([*load(split.train), *load_extra(extra_split.train)], [*split.train, *extra_split.train])
    val_data = Dataset(load(split.val), split.val)
    network = Trainer(recipe, train_data, val_data, run, index.planes, options).train()
    if distributed.is_main:
        draw_curves(run / LOG, run / "curves.png")
        write_network(run, network)
