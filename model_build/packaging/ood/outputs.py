"""The outputs of a network that the OOD terms and their limits are fitted to."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model_build.data.datasets import augmented_inputs, eval_inputs
from model_build.data.records import Dataset, planes_of
from model_build.evaluation.sub_planes import predict_sub_planes
from model_build.models.distance import Distance
from model_build.models.inference import in_batches
from model_build.models.multi_task import MultiTaskNetwork
from model_build.packaging.ood.negative_inputs import Negatives, negative_inputs
from model_build.packaging.trained_run import TrainedRun

_TRAIN_VIEWS, _VAL_VIEWS = 2, 8  # augmented inputs per frame

Strings = NDArray[np.str_]


@dataclass(frozen=True, eq=False)
class Outputs:
    """What the network computes for N inputs, as far as the OOD terms need it."""

    logits: Tensor  # float32 [N, K]
    pooled: Tensor  # float32 [N, C], the mean of the last features
    descriptors: Tensor  # float32 [N, 2 C'], of stage five

    def select(self, rows: NDArray[np.bool_]) -> "Outputs":
        """Return the outputs where `rows`, bool [N], is true."""
        kept = torch.from_numpy(rows)
        return Outputs(self.logits[kept], self.pooled[kept], self.descriptors[kept])

    @property
    def named(self) -> NDArray[np.int64]:
        """The most probable planes, int64 [N]."""
        return self.logits.argmax(1).numpy()


@dataclass(frozen=True, eq=False)
class LabeledOutputs:
    """Outputs for frames with their true planes and scanners."""

    outputs: Outputs
    planes: NDArray[np.int64]
    scanners: Strings

    @property
    def right(self) -> NDArray[np.bool_]:
        """Whether the most probable plane is the true one, bool [N]."""
        return np.asarray(self.outputs.named == self.planes)


@dataclass(frozen=True, eq=False)
class OodData:
    """Outputs that the OOD terms and their limits are fitted to."""

    train: LabeledOutputs  # training frames, augmented and as served
    val: LabeledOutputs  # validation frames, augmented: they stand in for other hospitals
    negatives: list[tuple[Negatives, Outputs]]


class Inference(Protocol):
    """One way to compute a network: PyTorch, or a quantized graph."""

    def infer(self, inputs: Tensor) -> Outputs:
        """Return the outputs for inputs uint8 [N, 1, S, S]."""

    def infer_sub_planes(self, inputs: Tensor) -> NDArray[np.float32]:
        """Return logits of the sub-planes, float32 [N, M], for inputs uint8 [N, 1, S, S]."""


class TorchInference:
    """A network in PyTorch, in float32."""

    def __init__(self, network: MultiTaskNetwork) -> None:
        self._network = network

    def infer(self, inputs: Tensor) -> Outputs:
        """Return the outputs for inputs uint8 [N, 1, S, S]."""
        model = self._network.classifier

        def compute(frames: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            _, stage5, _, features = model.backbone.forward_features(frames)
            return model.head(features), features.mean((2, 3)), Distance.describe(stage5)

        logits, pooled, descriptors = in_batches(model, compute, inputs)
        return Outputs(logits, pooled, descriptors)

    def infer_sub_planes(self, inputs: Tensor) -> NDArray[np.float32]:
        """Return logits of the sub-planes, float32 [N, M], for inputs uint8 [N, 1, S, S]."""
        return predict_sub_planes(self._network, inputs)


def collect_ood_data(trained: TrainedRun, inference: Inference) -> OodData:
    """Run the network of a run on all inputs that the OOD terms and their limits are fitted to."""
    recipe = trained.recipe
    sides = ([*trained.split.train, *trained.corrected], trained.split.val, trained.organs)
    train, val, organs = (Dataset(trained.load(records), records) for records in sides)
    augmented, served = augmented_inputs(train, recipe, _TRAIN_VIEWS), eval_inputs(train.frames, recipe.preprocessing)
    negatives = [(each, inference.infer(each.inputs)) for each in negative_inputs(train, organs, recipe)]
    return OodData(
        _label(inference.infer(torch.cat((augmented, served))), train),
        _label(inference.infer(augmented_inputs(val, recipe, _VAL_VIEWS)), val),
        negatives,
    )


def _label(outputs: Outputs, data: Dataset) -> LabeledOutputs:
    repeats = len(outputs.logits) // len(data.records)
    scanners = np.array([record.scanner for record in data.records])
    return LabeledOutputs(outputs, np.tile(planes_of(data.records), repeats), np.tile(scanners, repeats))
