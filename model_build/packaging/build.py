"""From a training run to a model package, in eight steps: see `build_package`."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from model_build.data.datasets import eval_inputs
from model_build.data.labels import SUB_PLANES
from model_build.data.records import NOT_STATED, TestSide, planes_of
from model_build.data.splits import find_test_side, split_warnings, warn
from model_build.evaluation.calibration import Calibration, calibration_warnings
from model_build.evaluation.headline import Evaluation, abstention_warning, below_baseline, headline_metrics
from model_build.evaluation.predictions import Predictions, classify_frames
from model_build.evaluation.report import write_report
from model_build.evaluation.sub_planes import sub_plane_metrics
from model_build.package_folder import check_target, new_package
from model_build.packaging.calibrate import calibrate, fit_ood_terms
from model_build.packaging.int8.gates import Comparison
from model_build.packaging.int8.quantized import Quantized, quantize, remove_int8, write_comparison
from model_build.packaging.manifest import make_manifest, write_manifest
from model_build.packaging.model_card import write_card, write_int8_section
from model_build.packaging.onnx_export import ServedClassifier, export_classifier
from model_build.packaging.ood.fitted import read_fitted
from model_build.packaging.ood.outputs import Inference, TorchInference, collect_ood_data
from model_build.packaging.parity import check_parity
from model_build.packaging.sub_planes import export_sub_planes
from model_build.packaging.trained_run import PackageOptions, TrainedRun, read_run
from service.inference.engine import Engine
from service.inference.package import CLASSIFIER, EXPLAINER, ModelPackage, PackageError, load_package
from service.schemas.manifest import Int8, Manifest, Metric

_PARITY_INPUTS = 12
# Names of test splits in metrics.
_TEST_SPLITS: dict[TestSide, str] = {
    "stated": "test",
    "patients": "test-by-patient",
    "files": "test-by-file",
    "frames": "test-by-frame",
}


def build_package(run: Path, data: Path, package: Path, options: PackageOptions) -> list[Metric]:
    """Build a model package from a training run, write `report/` into the run and return the headline metrics.

    `data` is the data set that the run was trained on. If `options` ask for it, a package at this path is replaced
    after the new one has passed every check.

    Raises
    ------
    ExportError
        ONNX Runtime and PyTorch disagree.
    PackageError
        The path is in use, or the model is not better than always answering the same plane.
    RunError
        The run is unfinished.
    DataError
        The data set has other planes than the run, or no test frames.
    """
    check_target(package, replace=options.replace)
    with new_package(package) as draft:
        return _build(run, data, draft, options)


def _build(run: Path, data: Path, draft: Path, options: PackageOptions) -> list[Metric]:
    # 1. Read the run: recipe, network, data set and split.
    trained = read_run(run, data, options)
    # 2. Fit the OOD terms to augmented training inputs and to negatives, unless the run keeps those of its package.
    network = TorchInference(trained.network)
    ood_data = collect_ood_data(trained, network)
    fitted = None if options.refit else read_fitted(run)
    terms = fitted.terms if fitted else fit_ood_terms(ood_data)
    # 3. Calibrate on the validation frames.
    calibration = calibrate(trained, network, terms, ood_data, fitted)
    # 4. Export the graphs into the draft folder.
    served = ServedClassifier(trained.network.classifier, terms.ood_score, terms.distance, calibration.temperature)
    opset = export_classifier(served, trained.recipe.preprocessing.size, len(trained.data.planes), draft)
    if trained.sub_plane_split is not None and calibration.sub_plane_temperature is not None:
        inputs = trained.sub_plane_inputs(trained.sub_plane_split.val[:_PARITY_INPUTS])
        export_sub_planes(trained.network, calibration.sub_plane_temperature, draft, inputs.numpy())
    manifest = make_manifest(trained, calibration, opset, options)
    # 5. Check that ONNX Runtime and PyTorch agree.
    parity = check_parity(served, draft, _parity_inputs(trained), len(manifest.planes))
    # 6. Evaluate the exported graphs on the test frames.
    package = ModelPackage(manifest, "", (draft / CLASSIFIER).read_bytes(), (draft / EXPLAINER).read_bytes())
    evaluation = replace(
        _evaluate(trained, package, network), calibration=calibration, prediction_sets=calibration.prediction_sets
    )
    warnings = _warnings(trained, calibration, evaluation)
    if (below := below_baseline(evaluation.metrics)) and not options.force:
        raise PackageError(f"{' '.join(below)} Train on more frames or for longer, or package it with --force")
    manifest = _with_metrics(manifest.model_copy(update={"warnings": warnings}), evaluation)
    write_card(draft, manifest, trained, evaluation, parity)
    write_report(run / "report", evaluation, manifest.temperature, parity)
    # 7. Quantize the classifier; INT8 joins the package where it passes its gates.
    if not options.float32_only:
        manifest = _add_int8(trained, manifest, draft, run)
    # 8. Write the manifest; the service must be able to open the draft before it replaces the package.
    write_manifest(draft, manifest)
    load_package(draft)
    warn((*warnings, *_missing(trained, manifest)))
    return evaluation.metrics


def _warnings(trained: TrainedRun, calibration: Calibration, evaluation: Evaluation) -> tuple[str, ...]:
    """Return a sentence for each reason to doubt the metrics or the calibration."""
    sub_planes = below_baseline(evaluation.sub_planes.metrics[:3]) if evaluation.sub_planes else []
    return (
        *split_warnings(trained.data, trained.recipe, trained.split),
        *below_baseline(evaluation.metrics),
        *(f"Sub-planes: {sentence}" for sentence in sub_planes),
        *calibration_warnings(calibration, trained.split.val, trained.data.planes),
        *abstention_warning(evaluation.predictions),
    )


def _missing(trained: TrainedRun, manifest: Manifest) -> Iterator[str]:
    """Yield a sentence for each statement that the model card marks as missing."""
    if not trained.data.named:
        yield "the data set does not state its name: add it to dataset.toml"
    for field in ("license", "citation"):
        if getattr(manifest.training_data, field) == NOT_STATED:
            yield f"the data set does not state its {field}: add it to dataset.toml"
    if manifest.weights_license is None:
        yield "the license of the weights is not stated: use --license"


def _parity_inputs(trained: TrainedRun) -> NDArray[np.uint8]:
    """Return inputs of a few validation frames, spread evenly over the planes."""
    records = trained.split.val
    planes = planes_of(records)
    occurrence = [np.flatnonzero(planes[: row + 1] == planes[row]).size for row in range(len(planes))]
    rows = np.sort(np.argsort(occurrence)[:_PARITY_INPUTS])
    inputs = eval_inputs(trained.load([records[row] for row in rows]), trained.recipe.preprocessing)
    return np.asarray(inputs.numpy())


def _evaluate(trained: TrainedRun, package: ModelPackage, inference: Inference) -> Evaluation:
    """Classify the test frames with the graphs, as the service does; metrics of sub-planes are also of val.

    `inference` computes the sub-planes of all frames, whatever plane the classifier predicts.
    """
    manifest = package.manifest
    engine = Engine(replace(package, manifest=manifest.model_copy(update={"sub_planes": None})))
    predictions = classify_frames(engine, trained.load(trained.split.test), trained.split.test)
    test_split = _TEST_SPLITS[find_test_side(trained.data, trained.recipe)]
    metrics, split = headline_metrics(predictions, test_split), trained.sub_plane_split
    if manifest.sub_planes is None or split is None:
        return Evaluation(predictions, metrics)
    sides = []
    for records in (split.test, split.val):
        logits = inference.infer_sub_planes(trained.sub_plane_inputs(records)).astype(np.float64)
        probabilities = softmax(logits / manifest.sub_planes.temperature, axis=1)
        sides.append(Predictions(records, probabilities, np.zeros(len(records), np.bool_), SUB_PLANES))
    test, val = sides
    sub_plane_evaluation = Evaluation(test, [*sub_plane_metrics(test, test_split), *sub_plane_metrics(val, "val")])
    return Evaluation(predictions, metrics, sub_plane_evaluation)


T = TypeVar("T", Manifest, Int8)


def _with_metrics(described: T, evaluation: Evaluation) -> T:
    """Return the manifest, or its part of INT8, with the metrics of an evaluation on test frames."""
    update: dict[str, object] = {"metrics": tuple(evaluation.metrics)}
    if described.sub_planes is not None and evaluation.sub_planes is not None:
        metrics = tuple(metric for metric in evaluation.sub_planes.metrics if metric.split != "val")
        update["sub_planes"] = described.sub_planes.model_copy(update={"metrics": metrics})
    return described.model_copy(update=update)


def quantize_package(run: Path, data: Path, package: Path, out: Path, options: PackageOptions) -> list[Comparison]:
    """Write a copy of a package with INT8, if that passes its gates; its float32 is the same. Return the comparison.

    `run` is the one that the package was built from, or that `import-weights` made of it; `data` is its data set.

    Raises what `build_package` raises, and PackageError where INT8 does not pass a gate: then nothing is written.
    """
    check_target(out, replace=options.replace)
    source = load_package(package).at("float32")
    trained = read_run(run, data, options)
    with new_package(out) as draft:
        for name in source.manifest.files:
            shutil.copyfile(package / name, draft / name)
        remove_int8(draft)
        quantized = quantize(trained, source.manifest.model_copy(update={"int8": None}), draft)
        write_comparison(run / "report" / "int8.csv", quantized)
        if quantized.failures:
            raise PackageError(f"INT8 is left out: {_reasons(quantized)}")
        write_manifest(draft, _enter(trained, quantized, draft))
        load_package(draft)
    return list(quantized.comparisons)


def _add_int8(trained: TrainedRun, manifest: Manifest, draft: Path, run: Path) -> Manifest:
    """Return the manifest with INT8 if it passes its gates. The card says what was measured in either case."""
    quantized = quantize(trained, manifest, draft)
    write_comparison(run / "report" / "int8.csv", quantized)
    if not quantized.failures:
        return _enter(trained, quantized, draft)
    remove_int8(draft)
    write_int8_section(draft, quantized.comparisons)
    warn([f"INT8 is left out: {_reasons(quantized)}"])
    return manifest


def _enter(trained: TrainedRun, quantized: Quantized, draft: Path) -> Manifest:
    """Write the section of the model card, and return the manifest with the metrics of INT8."""
    write_int8_section(draft, quantized.comparisons)
    manifest = quantized.package.manifest
    assert manifest.int8 is not None
    evaluation = _evaluate(trained, quantized.package.at("int8"), quantized.inference)
    return manifest.model_copy(update={"int8": _with_metrics(manifest.int8, evaluation)})


def _reasons(quantized: Quantized) -> str:
    return "; ".join(each.sentence() for each in quantized.failures)
