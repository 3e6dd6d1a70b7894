"""A finished training run becomes a model package: calibrate, export, prove parity, evaluate, write the card."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax
from torch import Tensor

from model_build.data.datasets import augmented_inputs, eval_inputs
from model_build.data.formats import read_data
from model_build.data.frames import open_frames
from model_build.data.records import DataError, DataSet, Record, planes_of
from model_build.data.splits import Split, limits, make_split, read_stretched
from model_build.evaluation.calibration import choose_abstention, fit_temperature
from model_build.evaluation.predictions import Metric, headline, run_engine
from model_build.evaluation.report import write_report
from model_build.evaluation.sub_planes import Sides, SubPlaneEvaluation
from model_build.models.classifier import PlaneClassifier
from model_build.models.inference import in_batches
from model_build.models.multi_task import MultiTaskNetwork
from model_build.models.ood_score import OodScore
from model_build.packaging.manifest import write_manifest
from model_build.packaging.model_card import write_card
from model_build.packaging.onnx_export import Served, check_parity, export_graphs
from model_build.packaging.sub_planes import add_sub_planes
from model_build.recipe import Recipe
from model_build.run_dir import read_network, read_planes, read_recipe
from service import __version__
from service.inference.engine import Engine
from service.inference.package import load_package
from service.schemas.manifest import FORMAT, Abstention, Manifest, Plane, SubPlanes, TrainingData
from service.schemas.manifest import Metric as MetricRecord

_PARITY_VIEWS = 12
_TIMES = 4  # varied views of each frame that ood_score is fitted to, and its threshold chosen by


def build_package(
    run: Path,
    data: Path,
    package: Path,
    *,
    name: str,
    version: str,
    stretched: Path | None = None,
    cache: Path | None = None,
) -> list[Metric]:
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
    split = make_split(data_set, recipe)
    if not split.test:
        raise DataError(f"{data} has no test frames, which the card has to be written from")
    frames = open_frames(data_set.records, cache)
    val_frames = frames(split.val)
    val_inputs = eval_inputs(val_frames, recipe.preprocessing)
    val_planes = planes_of(split.val)

    ood_score = _fit_ood_score(model, frames(split.train), split.train, recipe)
    logits, _ = infer(model, val_inputs)
    temperature = fit_temperature(logits.numpy(), val_planes)
    varied_logits, varied = infer(model, augmented_inputs(val_frames, split.val, recipe, _TIMES))
    oddness = ood_score.combine(varied, varied_logits).numpy()
    thresholds = choose_abstention(softmax(logits.numpy() / temperature, axis=1), oddness)

    draft = package.with_name(package.name + ".new")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    served = Served(model, ood_score, temperature)
    opset = export_graphs(served, recipe.preprocessing.size, len(data_set.planes), draft)
    parity = check_parity(served, draft, _spread(val_inputs.numpy(), val_planes), len(data_set.planes))
    manifest = _manifest(
        recipe, data_set.planes, temperature, thresholds, opset, _training_data(data_set, split), name, version
    )
    write_manifest(draft, manifest)

    engine = Engine(load_package(draft))
    outcome = run_engine(engine, frames(split.test), split.test)
    figures = headline(outcome)
    write_report(run, outcome, engine.manifest, figures, parity)
    said = limits(data_set, recipe, split)
    write_card(draft / "MODEL_CARD.md", engine.manifest, recipe, outcome, figures, parity, said)
    metrics = tuple(_record(figure) for figure in figures)
    sub_planes = _add_sub_planes(network, run, draft, recipe, split, stretched, cache)
    write_manifest(draft, manifest.model_copy(update={"metrics": metrics, "sub_planes": sub_planes}))
    load_package(draft)
    shutil.rmtree(package, ignore_errors=True)
    draft.rename(package)
    return figures


def infer(model: PlaneClassifier, views: Tensor) -> tuple[Tensor, Tensor]:
    """Logits [N, K], and what ood_score looks at [N, 2 C], of views uint8 [N, 1, S, S]."""

    def compute(frames: Tensor) -> tuple[Tensor, Tensor]:
        _, stage5, _, features = model.backbone.forward_features(frames)
        return model.head(features), OodScore.describe(stage5)

    logits, descriptors = in_batches(model, compute, views)
    return logits, descriptors


def _add_sub_planes(
    network: MultiTaskNetwork,
    run: Path,
    draft: Path,
    recipe: Recipe,
    split: Split,
    stretched: Path | None,
    cache: Path | None,
) -> SubPlanes | None:
    if network.sub_planes is None:
        return None
    more = read_stretched(stretched, split)

    def side(own: list[Record], others: list[Record]) -> Sides:
        records = [record for record in own if record.sub_plane is not None] + others
        return eval_inputs(open_frames(records, cache)(records), recipe.preprocessing), records

    val, test = side(split.val, more.val), side(split.test, more.test)
    described = SubPlaneEvaluation.of(network, val, test, run)
    return add_sub_planes(network.sub_planes, described, draft, val[0].numpy()[:_PARITY_VIEWS])


def _fit_ood_score(
    model: PlaneClassifier, frames: Sequence[NDArray[np.uint8]], records: Sequence[Record], recipe: Recipe
) -> OodScore:
    logits, descriptors = infer(model, augmented_inputs(frames, records, recipe, _TIMES))
    return OodScore.fit(descriptors, logits, np.tile(planes_of(records), _TIMES))


def _spread(views: NDArray[np.uint8], planes: NDArray[np.int64]) -> NDArray[np.uint8]:
    """A few views, the planes as evenly among them as can be."""
    order = np.argsort([np.flatnonzero(planes[: row + 1] == planes[row]).size for row in range(len(planes))])
    return views[np.sort(order[:_PARITY_VIEWS])]


_METRIC_IDS = {
    "top-1": "top1",
    "top-2": "top2",
    "macro-F1": "macro_f1",
    "calibration error (15 bins)": "calibration_error",
    "Brier score": "brier_score",
    "answered (not abstained)": "coverage",
}


def _record(figure: Metric) -> MetricRecord:
    """Convert a metric of the card to its record in the manifest."""
    return MetricRecord(
        metric=_METRIC_IDS[figure.name.split(", ")[0]],
        subset="main" if "main" in figure.name else "all",
        split="test",
        n=figure.frames,
        value=figure.value,
        low=figure.interval.low if figure.interval else None,
        high=figure.interval.high if figure.interval else None,
    )


def _training_data(data: DataSet, split: Split) -> TrainingData:
    return TrainingData(
        name=data.source.name,
        license=data.source.license,
        citation=data.source.citation,
        train_frames=len(split.train),
        train_patients=len({record.patient for record in split.train}),
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
        metrics=(),
        code_version=__version__,
    )
