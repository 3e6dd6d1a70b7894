"""Export of PyTorch modules to ONNX graphs with a free batch size."""

import copy
import logging
import warnings
from collections.abc import Sequence
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from model_build.models.batchnorm import norm_pairs
from model_build.models.classifier import PlaneClassifier
from model_build.models.distance import Distance
from model_build.models.ood_score import OodScore
from model_build.packaging.grad_cam import traced_explainer
from service.inference.package import CLASSIFIER, EXPLAINER

OUTPUTS = ("probabilities", "logits", "features", "ood_score", "distance", "stage4", "stage5", "stage6")
"""Outputs of `classifier.onnx`. Every package has the three stages, so a sub-plane head does not change the graph."""


class ServedClassifier(nn.Module):
    """Everything that `classifier.onnx` computes: normalization, network, temperature, OOD terms and stage features."""

    def __init__(self, model: PlaneClassifier, ood_score: OodScore, distance: Distance, temperature: float) -> None:
        super().__init__()
        self.backbone, self.head = model.backbone, model.head
        self.ood_score, self.distance, self.temperature = ood_score, distance, temperature

    def forward(self, frames: Tensor) -> tuple[Tensor, ...]:
        """Return the tensors that `OUTPUTS` names, of frames uint8 [N, 1, S, S]."""
        *stages, features = self.backbone.forward_features(frames.to(self.distance.center.dtype))
        logits = self.head(features)
        ood_score, distance = self.ood_score(features.mean((2, 3)), logits), self.distance(stages[1])
        return torch.softmax(logits / self.temperature, 1), logits, features, ood_score, distance, *stages


def export_classifier(served: ServedClassifier, size: int, planes: int, folder: Path) -> int:
    """Write `classifier.onnx` and `explainer.onnx` for K planes and S x S inputs; return their opset."""
    served = copy.deepcopy(served.cpu().eval()).double()  # folding in float64 halves the rounding error
    for owner, convolution, norm in norm_pairs(served.backbone):
        setattr(owner, convolution, fuse_conv_bn_eval(getattr(owner, convolution), getattr(owner, norm)))
        setattr(owner, norm, nn.Identity())
    served = served.float()
    frames = torch.zeros(2, 1, size, size, dtype=torch.uint8)
    opset = export_graph(served, {"frames": frames}, OUTPUTS, folder / CLASSIFIER)
    # The tracer merges dimensions of equal size, so the traced batch must not have as many rows as there are planes.
    batch = 2 if planes != 2 else 3
    features = torch.rand(batch, served.backbone.channels, *served.backbone(frames.float()).shape[2:])
    target = torch.eye(planes)[[row % planes for row in range(batch)]]
    explainer = traced_explainer(served.head, features, target).eval()
    export_graph(explainer, {"features": features, "target": target}, ["heatmaps"], folder / EXPLAINER)
    return opset


def export_graph(module: nn.Module, inputs: dict[str, Tensor], outputs: Sequence[str], path: Path) -> int:
    """Write a module as an ONNX graph whose inputs' first dimension is free; return the opset.

    `inputs` are examples by name, in the order of the module's arguments.
    """
    batch = torch.export.Dim("frames", min=1)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it warns about every operator library not installed
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the exporter calls deprecated functions of PyTorch
        program = torch.onnx.export(
            module,
            tuple(inputs.values()),
            input_names=list(inputs),
            output_names=list(outputs),
            dynamo=True,
            dynamic_shapes=tuple({0: batch} for _ in inputs),
            verbose=False,
        )
    assert program is not None
    graph = program.model_proto
    strip_metadata(graph)
    onnx.save(graph, path)
    return int(next(each.version for each in graph.opset_import if not each.domain))


def strip_metadata(model: onnx.ModelProto) -> None:
    """Remove documentation and metadata in place: the exporter stores stack traces with local paths there."""
    graph = model.graph
    parts = (*graph.node, *graph.initializer, *graph.value_info, *graph.input, *graph.output)
    for message in (model, graph, *parts, *model.functions, *(node for each in model.functions for node in each.node)):
        message.ClearField("doc_string")
        message.ClearField("metadata_props")
