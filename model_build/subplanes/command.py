"""`fetal-planes-build subplanes`: from a finished run and brain frames to a head that `package` takes in."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from scipy.special import softmax

from model_build.evaluate import Row, write_table
from model_build.run_folder import read_model, read_recipe
from model_build.subplanes.fit import Fitted, Fitting, fit
from model_build.subplanes.frames import SUB_PLANES, BrainFrame, Maps, compute_maps, read_brain_frames, training_rows
from model_build.subplanes.head import SubPlaneNet
from model_build.subplanes.score import of_all, of_each, of_parts

FOLDER = "subplanes"  # in the folder of the run
VIEWS = 4


class HeadFile(BaseModel):
    """What `subplanes/head.json` says of the weights beside it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    channels: tuple[int, ...]
    nets: int
    temperature: float
    cross_validated: dict[str, float | int]
    test: dict[str, float | int]
    test_of_each: list[dict[str, float | int | str]]


def train_sub_planes(run: Path, data: Path, extra: Path | None, *, features: Path | None = None) -> HeadFile:
    """Train the head of a run and score it on the official test patients.

    Parameters
    ----------
    run
        A finished training run. Its folder gets `subplanes/`: weights, figures, tables.
    data, extra
        Sets of frames in the layout of FETAL_PLANES_DB with the column `Brain_plane`; those of `extra` are taken to
        have been stretched to one shape.
    features
        Where the backbone's maps are kept; by default in the run's folder.
    """
    folder = run / FOLDER
    recipe, model = read_recipe(run), read_model(run)
    brain = read_brain_frames(data) + (read_brain_frames(extra, stretched=True) if extra else [])
    served, varied = compute_maps(model, recipe, brain, VIEWS, features or folder / "maps")
    fitted, labels, patients = _fit(brain, served, varied)
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(fitted.net.state_dict(), folder / "head.pt")
    held = of_all(_probabilities(fitted.held, fitted.temperature), labels, patients)
    test = [row for row, frame in enumerate(brain) if frame.record.split == "test" and frame.sub_plane is not None]
    described = _score(folder, fitted, held, [brain[row] for row in test], served.of(np.array(test)))
    (folder / "head.json").write_text(described.model_dump_json(indent=2) + "\n", "utf-8")
    return described


def read_head(run: Path) -> tuple[SubPlaneNet, HeadFile] | None:
    """The head of a run, or None where it has none."""
    file = run / FOLDER / "head.json"
    if not file.exists():
        return None
    described = HeadFile.model_validate(json.loads(file.read_text("utf-8")))
    net = SubPlaneNet(described.channels, len(SUB_PLANES), described.nets)
    net.load_state_dict(torch.load(run / FOLDER / "head.pt", weights_only=True))
    return net.eval(), described


def _fit(
    brain: Sequence[BrainFrame], served: Maps, varied: Sequence[Maps]
) -> tuple[Fitted, NDArray[np.int64], list[str]]:
    """Train on the official training frames that have a sub-plane."""
    official = training_rows(brain)
    rows = np.array([place for place, row in enumerate(official) if brain[row].sub_plane is not None])
    chosen = [brain[row] for row in official[rows]]
    labels = np.array([frame.sub_plane for frame in chosen], np.int64)
    patients = [frame.record.patient for frame in chosen]
    return fit(served.of(official[rows]), varied, labels, rows, patients, Fitting()), labels, patients


def _score(
    folder: Path, fitted: Fitted, held: Row, frames: Sequence[BrainFrame], maps: Sequence[torch.Tensor]
) -> HeadFile:
    with torch.inference_mode():
        probabilities = _probabilities(fitted.net(*maps).numpy(), fitted.temperature)
    labels = np.array([frame.sub_plane for frame in frames], np.int64)
    patients = [frame.record.patient for frame in frames]
    each, parts = of_each(probabilities, labels, patients), of_parts(probabilities, labels, frames)
    write_table(folder / "of_each.csv", each)
    write_table(folder / "of_parts.csv", parts)
    return HeadFile.model_validate(
        {
            "channels": fitted.net.channels,
            "nets": fitted.net.nets,
            "temperature": fitted.temperature,
            "cross_validated": held,
            "test": of_all(probabilities, labels, patients),
            "test_of_each": each,
        }
    )


def _probabilities(logits: NDArray[np.floating], temperature: float) -> NDArray[np.float64]:
    return np.asarray(softmax(logits.astype(np.float64) / temperature, axis=1))
