"""A finished training run becomes a model package: calibrate, export, prove parity, evaluate, write the card."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax
from torch import Tensor

from model_build.calibrate import choose_abstention, fit_temperature
from model_build.card import write_card
from model_build.classifier import PlaneClassifier
from model_build.data import DataError, DataSet, Record, planes_of
from model_build.evaluate import Figure, headline, run_engine
from model_build.export import Served, check_parity, export_graphs
from model_build.frame_cache import open_frames
from model_build.joint import JointNetwork
from model_build.layouts import read_data
from model_build.novelty import Novelty
from model_build.package_folder import seal
from model_build.predict import in_batches
from model_build.recipe import Recipe
from model_build.report import write_report
from model_build.run_folder import read_network, read_planes, read_recipe
from model_build.splits import Division, divide, limits, read_stretched
from model_build.subplanes.described import Described, Sides
from model_build.subplanes.export import add_sub_planes
from model_build.views import served_views, varied_views
from service import __version__
from service.inference.engine import Engine
from service.inference.manifest import FORMAT, Abstention, Manifest, Plane, SubPlanes, TrainingData
from service.inference.package import load_package

_PARITY_VIEWS = 12
_TIMES = 4  # varied views of each frame that novelty is fitted to, and its threshold chosen by


def build_package(
    run: Path,
    data: Path,
    package: Path,
    *,
    name: str,
    version: str,
    stretched: Path | None = None,
    cache: Path | None = None,
) -> list[Figure]:
    """Build the package of a training run, and its report.

    Parameters
    ----------
    run
        The folder that `train` wrote.
    data
        The data set that it was trained on.
    package
        The folder to write; what it held is replaced only once the new package has passed every check.
    stretched
        The frames that taught sub-planes alone, as `train_run` was given them; its test patients are scored, too.
    cache
        A folder of decoded frames, see `open_frames`.

    Returns
    -------
    The headline figures of the package on the test split.

    Raises
    ------
    ExportError
        ONNX and PyTorch disagree.
    DataError
        The data have other planes than the run, or no test frames.
    """
    recipe, network = read_recipe(run), read_network(run)
    model = network.classifier
    data_set = read_data(data)
    if data_set.planes != read_planes(run):
        raise DataError(f"{data} has other planes than {run} was trained on")
    division = divide(data_set, recipe)
    if not division.test:
        raise DataError(f"{data} has no test frames, which the card has to be written from")
    frames = open_frames(data_set.records, cache)
    held_frames = frames(division.held)
    held_views = served_views(held_frames, recipe.preprocessing)
    held_planes = planes_of(division.held)

    novelty = _fit_novelty(model, frames(division.train), division.train, recipe)
    logits, _ = infer(model, held_views)
    temperature = fit_temperature(logits.numpy(), held_planes)
    varied_logits, varied = infer(model, varied_views(held_frames, division.held, recipe, _TIMES))
    oddness = novelty.combine(varied, varied_logits).numpy()
    thresholds = choose_abstention(softmax(logits.numpy() / temperature, axis=1), oddness)

    draft = package.with_name(package.name + ".new")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    served = Served(model, novelty, temperature)
    opset = export_graphs(served, recipe.preprocessing.size, len(data_set.planes), draft)
    parity = check_parity(served, draft, _spread(held_views.numpy(), held_planes), len(data_set.planes))
    manifest = _manifest(
        recipe, data_set.planes, temperature, thresholds, opset, _training_data(data_set, division), name, version
    )
    seal(draft, manifest)

    engine = Engine(load_package(draft))
    outcome = run_engine(engine, frames(division.test), division.test)
    figures = headline(outcome)
    write_report(run, outcome, engine.manifest, figures, parity)
    said = limits(data_set, recipe, division)
    write_card(draft / "MODEL_CARD.md", engine.manifest, recipe, outcome, figures, parity, said)
    metrics = {f"{figure.name}; {_side(recipe)}, {figure.frames} frames": figure.value for figure in figures}
    sub_planes = _add_sub_planes(network, run, draft, recipe, division, stretched, cache)
    seal(draft, manifest.model_copy(update={"metrics": metrics, "sub_planes": sub_planes}))
    load_package(draft)
    shutil.rmtree(package, ignore_errors=True)
    draft.rename(package)
    return figures


def infer(model: PlaneClassifier, views: Tensor) -> tuple[Tensor, Tensor]:
    """Logits [N, K], and what novelty looks at [N, 2 C], of views uint8 [N, 1, S, S]."""

    def compute(frames: Tensor) -> tuple[Tensor, Tensor]:
        _, stage5, _, features = model.backbone.maps(frames)
        return model.head(features), Novelty.describe(stage5)

    logits, descriptors = in_batches(model, compute, views)
    return logits, descriptors


def _add_sub_planes(
    network: JointNetwork,
    run: Path,
    draft: Path,
    recipe: Recipe,
    division: Division,
    stretched: Path | None,
    cache: Path | None,
) -> SubPlanes | None:
    if network.sub_planes is None:
        return None
    more = read_stretched(stretched, division)

    def side(own: list[Record], others: list[Record]) -> Sides:
        records = [record for record in own if record.sub_plane is not None] + others
        return served_views(open_frames(records, cache)(records), recipe.preprocessing), records

    held, test = side(division.held, more.held), side(division.test, more.test)
    described = Described.of(network, held, test, run)
    return add_sub_planes(network.sub_planes, described, draft, held[0].numpy()[:_PARITY_VIEWS])


def _fit_novelty(
    model: PlaneClassifier, frames: Sequence[NDArray[np.uint8]], records: Sequence[Record], recipe: Recipe
) -> Novelty:
    logits, descriptors = infer(model, varied_views(frames, records, recipe, _TIMES))
    return Novelty.fit(descriptors, logits, np.tile(planes_of(records), _TIMES))


def _spread(views: NDArray[np.uint8], planes: NDArray[np.int64]) -> NDArray[np.uint8]:
    """A few views, the planes as evenly among them as can be."""
    order = np.argsort([np.flatnonzero(planes[: row + 1] == planes[row]).size for row in range(len(planes))])
    return views[np.sort(order[:_PARITY_VIEWS])]


def _side(recipe: Recipe) -> str:
    return {
        "official": "official test subset",
        "patients": "a fifth of the patients",
        "frames": "a fifth of the frames",
    }[recipe.split]


def _training_data(data: DataSet, division: Division) -> TrainingData:
    return TrainingData(
        name=data.source.name,
        licence=data.source.licence,
        citation=data.source.citation,
        train_frames=len(division.train),
        train_patients=len({record.patient for record in division.train}),
    )


def _manifest(
    recipe: Recipe,
    planes: tuple[Plane, ...],
    temperature: float,
    thresholds: Abstention,
    opset: int,
    training_data: TrainingData,
    name: str,
    version: str,
) -> Manifest:
    return Manifest(
        format=FORMAT,
        name=name,
        version=version,
        planes=planes,
        preprocessing=recipe.preprocessing,
        temperature=temperature,
        abstention=thresholds,
        files={},
        opset=opset,
        training_data=training_data,
        metrics={},
        code_version=__version__,
    )
