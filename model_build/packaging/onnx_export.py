"""PyTorch to ONNX, and proof that the two agree. An export that differs is refused."""

import copy
import logging
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from captum.attr import LayerGradCam
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from model_build.models.batchnorm import norm_pairs
from model_build.models.classifier import PlaneClassifier
from model_build.models.ood_score import OodScore
from model_build.packaging.grad_cam import traced_explainer
from service.inference.session import open_session

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

PROBABILITY_TOLERANCE = 1e-5  # absolute
OOD_SCORE_TOLERANCE = 0.01  # absolute; over training views each of its terms has a standard deviation of 1
HEAT_MAP_TOLERANCE = 1e-3  # relative to the map's maximum
OUTPUTS = ("probabilities", "logits", "features", "ood_score", "stage4", "stage5", "stage6")
"""Of `classifier.onnx`. The maps of three stages are in every package, for a head that needs them: so the graph is the
same with it and without."""
_FLAT = 1e-3  # of the evidence for and against together; below it a map is what is left when float32 cancels out


class ExportError(Exception):
    """What ONNX Runtime computes differs from PyTorch; the message says where and by how much."""


class Served(nn.Module):
    """All that `classifier.onnx` computes: normalization, network, temperature, ood_score, and maps for further heads."""

    def __init__(self, model: PlaneClassifier, ood_score: OodScore, temperature: float) -> None:
        super().__init__()
        self.backbone, self.head, self.ood_score = model.backbone, model.head, ood_score
        self.temperature = temperature

    def forward(self, frames: Tensor) -> tuple[Tensor, ...]:
        """Frames uint8 [N, 1, S, S] to what `OUTPUTS` names: [N, K] twice, [N, C, h, w], [N], three maps."""
        *stages, features = self.backbone.forward_features(frames.to(self.ood_score.center.dtype))
        logits = self.head(features)
        ood_score = self.ood_score(stages[1], logits)
        return torch.softmax(logits / self.temperature, 1), logits, features, ood_score, *stages


def export_graphs(served: Served, size: int, planes: int, folder: Path) -> int:
    """Write `classifier.onnx` and `explainer.onnx` with a free batch size; returns the opset."""
    served = fold_batchnorm_copy(served.cpu().eval())
    frames = torch.zeros(2, 1, size, size, dtype=torch.uint8)
    opset = export_graph(served, (frames,), ["frames"], list(OUTPUTS), folder / "classifier.onnx")
    traced = 2 if planes != 2 else 3  # as many frames as planes would be traced as one and the same dimension
    features = torch.rand(traced, served.backbone.channels, *served.backbone(frames.float()).shape[2:])
    target = torch.eye(planes)[[row % planes for row in range(traced)]]
    explainer = traced_explainer(served.head, features, target).eval()
    export_graph(explainer, (features, target), ["features", "target"], ["heatmaps"], folder / "explainer.onnx")
    return opset


def fold_batchnorm_copy(served: Served) -> Served:
    """A copy whose BatchNorms are folded into their convolutions, in float64: half the rounding of folding later."""
    folded = copy.deepcopy(served).double()
    for owner, convolution, norm in norm_pairs(folded.backbone):
        fused = fuse_conv_bn_eval(getattr(owner, convolution), getattr(owner, norm))
        setattr(owner, convolution, fused)
        setattr(owner, norm, nn.Identity())
    return folded.float()


def export_graph(
    module: nn.Module, inputs: tuple[Tensor, ...], names: list[str], outputs: list[str], path: Path
) -> int:
    """Write a module as a graph with a free batch size; returns the opset."""
    batch = torch.export.Dim("frames", min=1)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it reports each operator of libraries that are not here
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the exporter warns of its own deprecations
        program: Any = torch.onnx.export(
            module,
            inputs,
            input_names=names,
            output_names=outputs,
            dynamo=True,
            dynamic_shapes=tuple({0: batch} for _ in inputs),
            verbose=False,
        )
    program.save(path, external_data=False)
    return int(program.model.opset_imports[""])


def check_parity(served: Served, folder: Path, views: NDArray[np.uint8], planes: int) -> dict[str, float]:
    """Compare the exported graphs with PyTorch and Captum on real views, for every plane.

    Parameters
    ----------
    views
        uint8 [N, 1, S, S], not those that were traced.

    Returns
    -------
    The largest absolute difference of a probability, and the largest relative one of a heat map.

    Raises
    ------
    ExportError
        A difference is above tolerance.
    """
    frames = torch.from_numpy(views)
    with torch.no_grad():  # in float64, so that the rounding is all ONNX Runtime's
        expected = copy.deepcopy(served).double().eval()(frames)
    classifier = open_session((folder / "classifier.onnx").read_bytes(), "classifier.onnx")
    probabilities, features, ood_score = classifier.run(["probabilities", "features", "ood_score"], {"frames": views})
    worst = float(np.abs(probabilities - expected[0].numpy()).max())
    if not worst <= PROBABILITY_TOLERANCE:
        raise ExportError(f"probabilities differ by {worst:.1e}; at most {PROBABILITY_TOLERANCE:.0e} is allowed")
    if not np.allclose(ood_score, expected[3].numpy(), rtol=1e-3, atol=OOD_SCORE_TOLERANCE):
        raise ExportError(f"ood_score differs by more than {OOD_SCORE_TOLERANCE}")
    explainer = open_session((folder / "explainer.onnx").read_bytes(), "explainer.onnx")
    differences = [_heat_map_difference(served, explainer, frames, features, plane, planes) for plane in range(planes)]
    if not max(differences) <= HEAT_MAP_TOLERANCE:
        raise ExportError(
            f"heat maps differ from Captum's by {max(differences):.1e} of their maximum; "
            f"at most {HEAT_MAP_TOLERANCE:.0e} is allowed"
        )
    return {"probability_difference": worst, "heat_map_relative_difference": max(differences)}


def _heat_map_difference(
    served: Served,
    explainer: "InferenceSession",
    frames: Tensor,
    features: NDArray[np.float32],
    plane: int,
    planes: int,
) -> float:
    target = np.tile(np.eye(planes, dtype=np.float32)[plane], (len(features), 1))
    found = explainer.run(["heatmaps"], {"features": features, "target": target})[0]
    model = PlaneClassifier(served.backbone, served.head).eval()
    oracle = LayerGradCam(model, model.backbone)
    expected = oracle.attribute(frames.float(), target=plane, relu_attributions=True)[:, 0].detach().numpy()
    peak = expected.max((1, 2))
    lit = peak > _FLAT * _evidence(served, torch.from_numpy(features), plane)
    if not lit.any():
        return 0.0
    return float((np.abs(found - expected).max((1, 2))[lit] / peak[lit]).max())


def _evidence(served: Served, features: Tensor, plane: int) -> NDArray[np.float32]:
    """The strongest place of each map if evidence against the plane counted for it, float32 [N]."""
    features = features.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(served.head(features)[:, plane].sum(), features)
    weights = gradient.mean((2, 3), keepdim=True)
    return (weights * features).abs().sum(1).amax((1, 2)).detach().numpy()
