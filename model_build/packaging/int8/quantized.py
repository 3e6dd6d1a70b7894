"""INT8 of a package: quantize the classifier, fit its constants, and compare it with float32.

The gates decide on validation frames. Test frames are only reported.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from model_build.data.datasets import augmented_inputs, eval_inputs
from model_build.data.records import Dataset, planes_of
from model_build.evaluation.tables import Row, write_table
from model_build.evaluation.validation import augmented_views
from model_build.packaging.calibrate import calibrate
from model_build.packaging.import_onnx_weights import read_weights
from model_build.packaging.int8.gates import Candidate, Comparison, SplitInputs, compare
from model_build.packaging.int8.graph import quantize_classifier, set_temperature
from model_build.packaging.int8.inference import GraphInference
from model_build.packaging.ood.fitted import terms_of
from model_build.packaging.ood.outputs import collect_ood_data
from model_build.packaging.sub_planes import SUB_PLANES_FILE
from model_build.packaging.trained_run import TrainedRun
from service.inference.engine import Engine
from service.inference.package import CLASSIFIER, EXPLAINER, Int8Graphs, ModelPackage
from service.inference.precision import measure_seconds
from service.schemas.manifest import Int8, Manifest

CLASSIFIER_INT8, SUB_PLANES_INT8 = "classifier_int8.onnx", "sub_planes_int8.onnx"
_CALIBRATION_FRAMES = 200  # of training, as served and augmented; drawn with seed 0
_SPEED_RUNS = 100


@dataclass(frozen=True, eq=False)
class Quantized:
    """A quantized classifier, whether or not it passes the gates."""

    package: ModelPackage  # in float32, with INT8 next to it; its manifest lacks hashes and metrics of INT8
    inference: GraphInference
    comparisons: tuple[Comparison, ...]  # of val, then of test
    seconds: tuple[float, float]  # CPU time of the classifier for one frame, in float32 and in INT8

    @property
    def failures(self) -> list[Comparison]:
        """The gates that INT8 does not pass on validation frames, which keep it out of the package."""
        return [each for each in self.comparisons if each.split == "val" and not each.passes]

    def rows(self) -> list[Row]:
        """Return the rows of the table of the comparison."""
        assert self.package.int8 is not None
        float32, int8 = self.package.classifier, self.package.int8.classifier
        costs = {"megabytes": [len(each) / 1e6 for each in (float32, int8)], "cpu_ms": [1e3 * s for s in self.seconds]}
        rows: list[Row] = [
            {
                "split": "",
                "metric": name,
                "n": "",
                "float32": round(a, 2),
                "int8": round(b, 2),
                "difference": round(b - a, 2),
                "allowed": "",
                "passes": "",
            }
            for name, (a, b) in costs.items()
        ]
        return [*(each.row() for each in self.comparisons), *rows]


def quantize(trained: TrainedRun, manifest: Manifest, folder: Path) -> Quantized:
    """Write the graphs of INT8 next to those of float32 in the folder of a package, and compare both."""
    # 1. Quantize the classifier with the ranges that its activations have on training frames.
    quantize_classifier(folder / CLASSIFIER, _calibration_inputs(trained), folder / CLASSIFIER_INT8)
    inference = GraphInference((folder / CLASSIFIER_INT8).read_bytes(), trained.network.sub_planes)
    # 2. Fit temperatures and thresholds to its outputs, by the functions that fit those of float32. The OOD terms stay.
    terms = terms_of(read_weights(folder / CLASSIFIER))
    calibration = calibrate(trained, inference, terms, collect_ood_data(trained, inference))
    set_temperature(folder / CLASSIFIER_INT8, calibration.temperature)
    sub_planes = None
    if manifest.sub_planes is not None and (temperature := calibration.sub_plane_temperature) is not None:
        (folder / SUB_PLANES_INT8).write_bytes((folder / SUB_PLANES_FILE).read_bytes())
        set_temperature(folder / SUB_PLANES_INT8, temperature)
        update = {"file": SUB_PLANES_INT8, "temperature": temperature, "metrics": ()}
        sub_planes = manifest.sub_planes.model_copy(update=update)
    int8 = Int8(
        file=CLASSIFIER_INT8,
        temperature=calibration.temperature,
        abstention=calibration.abstention,
        metrics=(),
        sub_planes=sub_planes,
        prediction_sets=calibration.prediction_sets,
    )
    # 3. Compare it with float32, as the service runs both.
    package = _read_graphs(manifest.model_copy(update={"int8": int8}), folder)
    float32, other = (
        Candidate(Engine(own), GraphInference(own.classifier, trained.network.sub_planes))
        for own in (package.at("float32"), package.at("int8"))
    )
    comparisons = [each for split in ("val", "test") for each in compare(float32, other, _split_inputs(trained, split))]
    return Quantized(package, other.graph, tuple(comparisons), measure_seconds(package, _SPEED_RUNS))


def write_comparison(path: Path, quantized: Quantized) -> None:
    """Write the table of the comparison."""
    write_table(path, quantized.rows())


def remove_int8(folder: Path) -> None:
    """Delete the graphs of INT8 from the folder of a package."""
    for name in (CLASSIFIER_INT8, SUB_PLANES_INT8):
        (folder / name).unlink(missing_ok=True)


def _calibration_inputs(trained: TrainedRun) -> NDArray[np.uint8]:
    """Return inputs of training frames, as served and augmented."""
    train = trained.split.train
    drawn = np.random.default_rng(0).permutation(len(train))[:_CALIBRATION_FRAMES]
    records = [train[row] for row in np.sort(drawn).tolist()]
    data = Dataset(trained.load(records), records)
    served = eval_inputs(data.frames, trained.recipe.preprocessing)
    return torch.cat((served, augmented_inputs(data, trained.recipe, 1))).numpy()


def _read_graphs(manifest: Manifest, folder: Path) -> ModelPackage:
    """Return the package of a folder that has no manifest yet."""

    def read(name: str) -> bytes:
        return (folder / name).read_bytes()

    has_head = manifest.sub_planes is not None
    return ModelPackage(
        manifest,
        "",
        read(CLASSIFIER),
        read(EXPLAINER),
        read(SUB_PLANES_FILE) if has_head else None,
        int8=Int8Graphs(read(CLASSIFIER_INT8), read(SUB_PLANES_INT8) if has_head else None),
    )


def _split_inputs(trained: TrainedRun, split: str) -> SplitInputs:
    records = getattr(trained.split, split)
    data, sub_planes = Dataset(trained.load(records), records), None
    if trained.sub_plane_split is not None and (own := getattr(trained.sub_plane_split, split)):
        sub_planes = trained.sub_plane_inputs(own), planes_of(own)
    served = eval_inputs(data.frames, trained.recipe.preprocessing)
    return SplitInputs(split, served, planes_of(records), augmented_views(data, trained.recipe), sub_planes)
