"""The folder of a training run: what each file is called, how it is written and how it is read.

- `recipe.json`: the recipe.
- `planes.json`: the planes, in the order of the network's outputs.
- `splits.json`: the files of each side, relative to their data set; `loop.dcm/2` is frame 2 of a loop. It is written
  once; nothing recomputes a split.
- `versions.json`: versions of Python and of the libraries that decide the result.
- `log.csv`: one row per epoch. `checkpoint.pt`: the state after the last epoch.
- `fitted.pt`: what a package was calibrated to, in a run that was imported from it.
- `model.pt` and, with a sub-plane head, `sub_planes.pt`: the averaged weights. `model.pt` is written last.
"""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import torch

from model_build.data.formats.fetal_planes_db import read_stretched
from model_build.data.labels import SUB_PLANES
from model_build.data.records import DataError, DatasetIndex, Record
from model_build.data.splits import Split
from model_build.models.classifier import PlaneClassifier
from model_build.models.multi_task import MultiTaskNetwork, create_network
from model_build.recipe import Recipe
from service.schemas.file_names import path_text
from service.schemas.manifest import Plane

RECIPE, CHECKPOINT, LOG, MODEL, SPLITS = "recipe.json", "checkpoint.pt", "log.csv", "model.pt", "splits.json"

_SUB_PLANES = "sub_planes.pt"
_LIBRARIES = ("torch", "numpy", "opencv-python-headless", "pillow", "pydicom", "scikit-learn", "fetal-planes")

SplitKind = Literal["frames", "stretched_frames", "corrected_frames"]


class RunError(ValueError):
    """A folder cannot be used as a run; the message says what to do."""


def start_run(run: Path, recipe: Recipe, planes: Sequence[Plane]) -> None:
    """Create the folder and write the recipe, the planes and the library versions."""
    run.mkdir(parents=True, exist_ok=True)
    (run / RECIPE).write_text(recipe.model_dump_json(indent=2) + "\n", "utf-8")
    _write_json(run / "planes.json", [plane.model_dump() for plane in planes])
    _write_json(run / "versions.json", library_versions())


def read_recipe(run: Path) -> Recipe:
    """Return the recipe of a run; raises RunError where the folder is not one."""
    try:
        return Recipe.model_validate_json((run / RECIPE).read_text("utf-8"))
    except FileNotFoundError as error:
        raise RunError(f"{path_text(run)} is not a run directory: it has no {RECIPE}; `train` writes one") from error


def check_finished(run: Path) -> None:
    """Raise RunError where a folder is not a run directory, or the run is unfinished."""
    read_recipe(run)
    if not (run / MODEL).is_file():
        raise RunError(
            f"{path_text(run)} is an unfinished run ({progress(run)}): continue it with `train` and --resume"
        )


def progress(run: Path) -> str:
    """Return how far an unfinished run is: `3 of 20 epochs are complete`."""
    if not all((run / name).is_file() for name in (RECIPE, CHECKPOINT, LOG)):
        return "no epoch is complete"
    done = len((run / LOG).read_text("utf-8").splitlines()) - 1
    return f"{done} of {read_recipe(run).training.epochs} epochs are complete"


def read_planes(run: Path) -> tuple[Plane, ...]:
    """Return the planes of a run, in the order of the network's outputs."""
    return tuple(Plane.model_validate(plane) for plane in json.loads((run / "planes.json").read_text("utf-8")))


def library_versions() -> dict[str, str]:
    """Return the versions of Python and of the installed libraries that decide the result of a training."""
    versions = {"python": platform.python_version()}
    for name in _LIBRARIES:
        with suppress(metadata.PackageNotFoundError):  # such as another build of OpenCV
            versions[name] = metadata.version(name)
    return versions


def write_splits(run: Path, splits: Mapping[SplitKind, tuple[Split, Path]]) -> None:
    """Write `splits.json`: for each kind of frames a split, and the folder that its files are relative to."""
    run.mkdir(parents=True, exist_ok=True)
    _write_json(run / SPLITS, _sides(splits))


def copy_splits(source: Path, run: Path, more: Mapping[SplitKind, tuple[Split, Path]] = MappingProxyType({})) -> None:
    """Write the splits of another run, and more kinds of frames; raises what `read_split_text` raises."""
    _write_json(run / SPLITS, json.loads(read_split_text(source)) | _sides(more))


def _sides(splits: Mapping[SplitKind, tuple[Split, Path]]) -> dict[str, dict[str, list[str]]]:
    return {
        kind: {side: [_relative(record, folder) for record in records] for side, records in split._asdict().items()}
        for kind, (split, folder) in splits.items()
    }


def read_split(run: Path, data: DatasetIndex) -> Split:
    """Return the split that a run was trained with, as records of the data set.

    Raises DataError where the run has no `splits.json`, or where the data set lacks a frame of it.
    """
    return _select(run, "frames", data.records, data.folder)


def read_stretched_split(run: Path, folder: Path | None) -> Split:
    """Return the stretched frames of a run on their sides, none without a folder; raises what `read_split` raises."""
    return _select(run, "stretched_frames", read_stretched(folder), folder) if folder else Split([], [], [])


def has_corrected(run: Path) -> bool:
    """Return whether a run was trained on corrected frames of a site in addition to its data set."""
    return "corrected_frames" in json.loads(read_split_text(run))


def read_corrected_split(run: Path, records: Sequence[Record], folder: Path) -> Split:
    """Return the corrected frames of a run on their sides, out of all records of their folder; raises DataError."""
    return _select(run, "corrected_frames", records, folder)


def read_split_text(run: Path) -> str:
    """Return the text of `splits.json`: equal for runs with the same split; raises DataError where it is missing."""
    try:
        return (run / SPLITS).read_text("utf-8")
    except FileNotFoundError as error:
        raise DataError(f"{run} has no {SPLITS}: train it again with this version") from error


def _select(run: Path, kind: SplitKind, records: Sequence[Record], folder: Path) -> Split:
    sides: dict[str, dict[str, list[str]]] = json.loads(read_split_text(run))
    if kind not in sides:
        raise DataError(f"{run} was trained without {kind.replace('_', ' ')}: {folder} cannot be split as in training")
    by_file = {_relative(record, folder): record for record in records}
    missing = [file for files in sides[kind].values() for file in files if file not in by_file]
    if missing:
        raise DataError(f"{folder} lacks {len(missing)} frames that {run} was trained with, such as {missing[0]}")
    return Split(*([by_file[file] for file in sides[kind][side]] for side in Split._fields))


def _relative(record: Record, folder: Path) -> str:
    """Return the file of a record below the data set, the same in every locale; a later frame of a loop as `file/2`."""
    file = os.fsencode(Path(os.path.relpath(record.path, folder)).as_posix()).decode("utf-8", "surrogateescape")
    return f"{file}/{record.index}" if record.index else file


def write_network(run: Path, network: MultiTaskNetwork) -> None:
    """Write the weights; `model.pt` last and in one step, as its presence means that the run is complete."""
    if network.sub_planes is not None:
        torch.save(network.sub_planes.state_dict(), run / _SUB_PLANES)
    draft = (run / MODEL).with_suffix(".new")
    torch.save(network.classifier.state_dict(), draft)
    draft.replace(run / MODEL)


def read_network(run: Path) -> MultiTaskNetwork:
    """Return the averaged network of a run, on the CPU in evaluation mode, with a sub-plane head if the run has one.

    Raises RunError where the run is unfinished.
    """
    check_finished(run)
    head = run / _SUB_PLANES
    network = create_network(read_recipe(run).network, len(read_planes(run)), len(SUB_PLANES) if head.exists() else 0)
    network.classifier.load_state_dict(torch.load(run / MODEL, weights_only=True))
    if network.sub_planes is not None:
        network.sub_planes.load_state_dict(torch.load(head, weights_only=True))
    return network.eval()


def read_model(run: Path) -> PlaneClassifier:
    """Return the averaged classifier of a run, on the CPU in evaluation mode."""
    return read_network(run).classifier


def _write_json(file: Path, value: object) -> None:
    file.write_text(json.dumps(value, indent=2) + "\n", "utf-8")
