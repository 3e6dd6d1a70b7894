"""Train a released model on with corrected frames of a site, and package it unless it has become worse."""

from dataclasses import dataclass
from pathlib import Path

from model_build.data.formats import read_data
from model_build.data.formats.fetal_planes_db import read_stretched
from model_build.data.frames import load_frames
from model_build.data.records import Dataset, DatasetIndex
from model_build.data.splits import Split, split_stretched, warn
from model_build.evaluation.predictions import Predictions, classify_frames
from model_build.evaluation.tables import Row, write_table
from model_build.improvement.comparison import compare, reasons_against
from model_build.improvement.corrections import Corrections, check_corrections, read_corrections
from model_build.package_folder import check_target
from model_build.packaging.build import build_package
from model_build.packaging.import_onnx_weights import import_onnx_weights
from model_build.packaging.trained_run import PackageOptions
from model_build.recipe import Recipe
from model_build.run_dir import RunError, SplitKind, read_planes, read_split, write_network, write_splits
from model_build.training.trainer import RunOptions, Trainer
from model_build.training.weight_averaging import average_weights
from service.inference.engine import Engine
from service.inference.package import PackageError, load_package
from service.schemas.file_names import path_text


@dataclass(frozen=True)
class Sources:
    """What a model is improved from."""

    package: Path  # the released model
    data: Path  # the data set that it was trained on
    corrections: Path  # corrected frames, see `read_corrections`
    drop_near_duplicates: bool = False  # instead of refusing corrections that repeat other pictures


def improve(sources: Sources, recipe: Recipe, out: Path, options: RunOptions, package: PackageOptions) -> list[Row]:
    """Train the network of a package on with corrected frames; return the comparison with the model before.

    The folder `out` gets the runs `start`, `trained` and `run` (the mean of their weights), `comparison.csv`, and the
    model package `package`. The temperature and the thresholds are fitted to the validation frames of the data set, as
    for any package.

    Raises
    ------
    PackageError
        On the test frames of the data set the model is worse than before by more than its interval, unless
        `package.force` permits it. `out/candidate` keeps the package then.
    DataError, ValueError
        The corrections or the recipe do not fit the package; see `read_corrections` and `import_onnx_weights`.
    RunError
        `out` is not empty.
    """
    if out.is_dir() and any(out.iterdir()):
        raise RunError(f"{path_text(out)} is not empty: name another folder")
    manifest = load_package(sources.package).manifest
    if package.name == manifest.name and package.version == manifest.version:
        raise PackageError(f"{package.name} {package.version} is the model before: give the new one another version")
    index, train, held_out = read_corrections(sources.corrections, manifest.planes)
    start, trained, run = (out / name for name in ("start", "trained", "run"))
    import_onnx_weights(sources.package, recipe, start, sources.data, package.stretched)
    split = read_split(start, read_data(sources.data))
    corrections = check_corrections(train, held_out, split, drop=sources.drop_near_duplicates)

    _train(recipe, split, corrections, trained, options)
    _write_splits(trained, sources.data, split, package.stretched)
    average_weights([start, trained], run, sources.data, package.stretched)
    _write_splits(run, sources.data, split, package.stretched, (index, corrections))

    build_package(run, sources.data, out / "candidate", package)
    sets = _predictions(sources.package, out / "candidate", corrections.held_out, split)
    rows = compare(sets)
    write_table(out / "comparison.csv", rows)
    against = reasons_against(*sets["test"])
    if against and not package.force:
        raise PackageError(
            f"{' '.join(against)} The comparison is in {path_text(out / 'comparison.csv')}; package the model "
            "nevertheless with --force"
        )
    warn(against)
    check_target(out / "package", replace=False)
    (out / "candidate").rename(out / "package")
    return rows


def _train(recipe: Recipe, split: Split, corrections: Corrections, run: Path, options: RunOptions) -> None:
    """Train from the run that `options` name, on the data set's training frames and the corrected ones."""
    frames = [*load_frames(split.train), *corrections.train.frames]
    train = Dataset(frames, [*split.train, *corrections.train.records])
    assert options.start is not None
    trainer = Trainer(
        recipe, train, Dataset(load_frames(split.val), split.val), run, read_planes(options.start), options
    )
    write_network(run, trainer.train())


def _write_splits(
    run: Path,
    data: Path,
    split: Split,
    stretched: Path | None,
    corrected: tuple[DatasetIndex, Corrections] | None = None,
) -> None:
    splits: dict[SplitKind, tuple[Split, Path]] = {"frames": (split, read_data(data).folder)}
    if stretched:
        splits["stretched_frames"] = (split_stretched(read_stretched(stretched), split), stretched)
    if corrected:
        index, (train, held_out) = corrected
        splits["corrected_frames"] = (Split([*train.records], [], [*held_out.records]), index.folder)
    write_splits(run, splits)


def _predictions(
    before: Path, after: Path, held_out: Dataset, split: Split
) -> dict[str, tuple[Predictions, Predictions]]:
    """Return the answers of both packages, before and after, on the site's held-out frames and on the test frames."""
    engines = [Engine(load_package(package)) for package in (before, after)]
    test = Dataset(load_frames(split.test), split.test)
    pairs = {
        name: [classify_frames(engine, data.frames, data.records) for engine in engines]
        for name, data in {"corrections": held_out, "test": test}.items()
    }
    return {name: (old, new) for name, (old, new) in pairs.items()}
