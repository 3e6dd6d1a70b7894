"""Train a released model on with corrected frames of a site, and package it unless it has become worse."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from model_build.data.formats import read_data
from model_build.data.frames import open_frames
from model_build.data.records import Dataset
from model_build.data.splits import Split, warn
from model_build.evaluation.predictions import Predictions, classify_frames
from model_build.evaluation.tables import Row, write_table
from model_build.improvement.comparison import compare, reasons_against
from model_build.improvement.corrections import Corrections, check_corrections, read_corrections
from model_build.package_folder import check_target
from model_build.packaging.build import build_package
from model_build.packaging.import_onnx_weights import import_onnx_weights
from model_build.packaging.trained_run import PackageOptions
from model_build.recipe import Recipe
from model_build.run_dir import RunError, copy_splits, read_split, write_network
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
    load = open_frames([*chain(*split), *train, *held_out], package.cache)
    own, val, test, corrected, held = (Dataset(load(side), side) for side in (*split, train, held_out))
    sides = Corrections(corrected, held)
    corrected, held = check_corrections(sides, own, val, test, drop=sources.drop_near_duplicates)

    data = Dataset([*own.frames, *corrected.frames], [*own.records, *corrected.records])
    write_network(trained, Trainer(recipe, data, val, trained, manifest.planes, replace(options, start=start)).train())
    copy_splits(start, trained)
    average_weights([start, trained], run, sources.data, package.stretched)
    copy_splits(run, run, {"corrected_frames": (Split([*corrected.records], [], [*held.records]), index.folder)})

    build_package(run, sources.data, out / "candidate", package)
    engines = [Engine(load_package(each)) for each in (sources.package, out / "candidate")]
    sets = {"corrections": _predict(engines, held), "test": _predict(engines, test)}
    rows = compare(sets)
    write_table(out / "comparison.csv", rows)
    against = reasons_against(*sets["test"])
    if against and not package.force:
        where = f"The comparison is in {path_text(out / 'comparison.csv')}"
        raise PackageError(f"{' '.join(against)} {where}; package the model nevertheless with --force")
    warn(against)
    check_target(out / "package", replace=False)
    (out / "candidate").rename(out / "package")
    return rows


def _predict(engines: Sequence[Engine], data: Dataset) -> tuple[Predictions, Predictions]:
    """Return the answers of both packages, before and after."""
    before, after = (classify_frames(engine, data.frames, data.records) for engine in engines)
    return before, after
