"""From a training run to a model package, in seven steps: see `build_package`."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from model_build.data.datasets import eval_inputs
from model_build.data.records import Record, planes_of
from model_build.data.splits import Split, split_warnings
from model_build.evaluation.calibration import Calibration
from model_build.evaluation.headline import headline_metrics
from model_build.evaluation.predictions import Predictions, classify_frames
from model_build.evaluation.report import write_report
from model_build.evaluation.sub_planes import (
    SubPlaneEvaluation,
    predict_sub_planes,
    sub_plane_metrics,
    sub_plane_predictions,
    write_sub_plane_report,
)
from model_build.packaging.calibrate import calibrate, fit_ood_score
from model_build.packaging.manifest import make_manifest, write_manifest
from model_build.packaging.model_card import CardInputs, write_card
from model_build.packaging.onnx_export import ServedClassifier, export_classifier
from model_build.packaging.parity import check_parity
from model_build.packaging.sub_planes import export_sub_planes
from model_build.packaging.trained_run import PackageOptions, TrainedRun, read_run
from service.inference.engine import Engine
from service.inference.package import CLASSIFIER, EXPLAINER, ModelPackage, load_package
from service.schemas.manifest import Manifest, Metric

_PARITY_INPUTS = 12
_TEST_SPLITS = {"official": "test", "patients": "test-by-patient", "frames": "test-by-frame"}  # of recipes, in metrics


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Predictions of the exported graphs on the test split, and the metrics of the manifest."""

    predictions: Predictions
    metrics: list[Metric]
    sub_planes: SubPlaneEvaluation | None


def build_package(run: Path, data: Path, package: Path, options: PackageOptions) -> list[Metric]:
    """Build a model package and an evaluation report from a training run.

    Parameters
    ----------
    run
        The run directory; the evaluation report is written to it.
    data
        The data set that the run was trained on.
    package
        The folder to write. Previous contents are replaced after the new package has passed every check.

    Returns
    -------
    The headline metrics on the test split.

    Raises
    ------
    ExportError
        ONNX Runtime and PyTorch disagree.
    DataError
        The data set has other planes than the run, or no test frames.
    """
    # 1. Read the run: recipe, network, data set and split.
    trained = read_run(run, data, options)
    # 2. Fit the OOD score to augmented training inputs.
    ood_score = fit_ood_score(trained)
    # 3. Calibrate on the validation frames.
    calibration = calibrate(trained, ood_score)
    # 4. Export the graphs into a draft folder.
    draft = _empty_folder(package.with_name(package.name + ".new"))
    served = ServedClassifier(trained.network.classifier, ood_score, calibration.temperature)
    manifest = make_manifest(trained, calibration, export(trained, served, calibration, draft), options)
    # 5. Check that ONNX Runtime and PyTorch agree.
    parity = check_parity(served, draft, _parity_inputs(trained), len(manifest.planes))
    # 6. Evaluate the exported graphs on the test frames.
    evaluation = evaluate(trained, manifest, draft)
    # 7. Write card, manifest and reports; the service must be able to open the draft before it replaces the package.
    write(trained, manifest, evaluation, parity, draft)
    load_package(draft)
    _write_reports(run, evaluation, manifest, parity)
    shutil.rmtree(package, ignore_errors=True)
    draft.rename(package)
    return evaluation.metrics


def export(trained: TrainedRun, served: ServedClassifier, calibration: Calibration, folder: Path) -> int:
    """Write the graphs; return their opset."""
    opset = export_classifier(served, trained.recipe.preprocessing.size, len(trained.data.planes), folder)
    head, temperature, split = trained.network.sub_planes, calibration.sub_plane_temperature, trained.sub_plane_split
    if head is not None and temperature is not None and split is not None:
        inputs = trained.sub_plane_inputs(split.val[:_PARITY_INPUTS])
        export_sub_planes(head, temperature, folder, inputs.numpy())
    return opset


def evaluate(trained: TrainedRun, manifest: Manifest, folder: Path) -> Evaluation:
    """Classify the test frames with the exported graphs, as the service does."""
    graphs = [(folder / name).read_bytes() for name in (CLASSIFIER, EXPLAINER)]
    engine = Engine(ModelPackage(manifest.model_copy(update={"sub_planes": None}), "", graphs[0], graphs[1]))
    records = trained.split.test
    predictions = classify_frames(engine, trained.load(records), records)
    test_split = _TEST_SPLITS[trained.recipe.split]
    sub_planes = None
    if manifest.sub_planes is not None and trained.sub_plane_split is not None:
        sub_planes = _evaluate_sub_planes(trained, trained.sub_plane_split, manifest.sub_planes.temperature, test_split)
    return Evaluation(predictions, headline_metrics(predictions, test_split), sub_planes)


def write(
    trained: TrainedRun, manifest: Manifest, evaluation: Evaluation, parity: Mapping[str, float], folder: Path
) -> None:
    """Write the model card and the manifest, once each. The manifest holds the hash of the card."""
    update: dict[str, object] = {"metrics": tuple(evaluation.metrics)}
    if manifest.sub_planes is not None and evaluation.sub_planes is not None:
        metrics = tuple(metric for metric in evaluation.sub_planes.metrics if metric.split != "val")
        update["sub_planes"] = manifest.sub_planes.model_copy(update={"metrics": metrics})
    manifest = manifest.model_copy(update=update)
    warnings = split_warnings(trained.data, trained.recipe, trained.split)
    card = CardInputs(manifest, trained.recipe, evaluation.predictions, parity, warnings, evaluation.sub_planes)
    write_card(folder, card)
    write_manifest(folder, manifest)


def _evaluate_sub_planes(trained: TrainedRun, split: Split, temperature: float, test_split: str) -> SubPlaneEvaluation:
    def predict(records: Sequence[Record]) -> Predictions:
        logits = predict_sub_planes(trained.network, trained.sub_plane_inputs(records)).astype(np.float64)
        return sub_plane_predictions(records, softmax(logits / temperature, axis=1))

    test, val = predict(split.test), predict(split.val)
    return SubPlaneEvaluation(test, [*sub_plane_metrics(test, test_split), *sub_plane_metrics(val, "val")])


def _parity_inputs(trained: TrainedRun) -> NDArray[np.uint8]:
    """Return inputs of a few validation frames, spread evenly over the planes."""
    records = trained.split.val
    planes = planes_of(records)
    occurrence = [np.flatnonzero(planes[: row + 1] == planes[row]).size for row in range(len(planes))]
    rows = np.sort(np.argsort(occurrence)[:_PARITY_INPUTS])
    inputs = eval_inputs(trained.load([records[row] for row in rows]), trained.recipe.preprocessing)
    return np.asarray(inputs.numpy())


def _write_reports(run: Path, evaluation: Evaluation, manifest: Manifest, parity: Mapping[str, float]) -> None:
    write_report(run / "report", evaluation.predictions, evaluation.metrics, manifest.temperature, parity)
    if evaluation.sub_planes is not None:
        write_sub_plane_report(run / "report" / "sub_planes", evaluation.sub_planes)


def _empty_folder(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
