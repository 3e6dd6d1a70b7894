"""Proof that the exported graphs equal PyTorch. `build_package` refuses an export that differs."""

import copy
from pathlib import Path

import numpy as np
import torch
from captum.attr import LayerGradCam
from numpy.typing import NDArray
from torch import Tensor

from model_build.models.classifier import PlaneClassifier
from model_build.packaging.onnx_export import ServedClassifier
from service.inference.package import CLASSIFIER, EXPLAINER
from service.inference.session import open_session

PROBABILITY_TOLERANCE = 1e-5  # absolute
OOD_TOLERANCE = 0.01  # absolute; the score has standard deviation 1 over augmented validation inputs
HEAT_MAP_TOLERANCE = 1e-3  # relative to the maximum of the map
_CANCELLED = 1e-3  # share of the total evidence; below it, a map is rounding error of evidence that cancels out


class ExportError(Exception):
    """ONNX Runtime and PyTorch disagree; the message names the output and the difference."""


def check_parity(served: ServedClassifier, folder: Path, inputs: NDArray[np.uint8], planes: int) -> dict[str, float]:
    """Compare the exported graphs with PyTorch and with Captum's Grad-CAM of every plane.

    The inputs, uint8 [N, 1, S, S], must not be those that were traced.

    Returns
    -------
    The largest absolute difference of a probability and the largest relative difference of a heat map.

    Raises
    ------
    ExportError
        A difference exceeds its tolerance.
    """
    frames = torch.from_numpy(inputs)
    with torch.no_grad():  # float64, so that all rounding error is that of ONNX Runtime
        expected = copy.deepcopy(served).double().eval()(frames)
    classifier = open_session((folder / CLASSIFIER).read_bytes(), CLASSIFIER)
    names = ["probabilities", "features", "ood_score", "distance"]
    probabilities, features, *terms = classifier.run(names, {"frames": inputs})
    difference = check_probabilities("probabilities", probabilities, expected[0].numpy())
    for name, found, term in zip(names[2:], terms, expected[3:5], strict=True):
        if not np.allclose(found, term.numpy(), rtol=1e-3, atol=OOD_TOLERANCE):
            raise ExportError(f"{name} differs by more than {OOD_TOLERANCE}")
    explainer = open_session((folder / EXPLAINER).read_bytes(), EXPLAINER)
    heat_map_difference = 0.0
    for plane in range(planes):
        target = np.tile(np.eye(planes, dtype=np.float32)[plane], (len(features), 1))
        found = explainer.run(["heatmaps"], {"features": features, "target": target})[0]
        difference_of_plane = _heat_map_difference(served, found, frames, torch.from_numpy(features), plane)
        heat_map_difference = max(heat_map_difference, difference_of_plane)
    if not heat_map_difference <= HEAT_MAP_TOLERANCE:
        raise ExportError(
            f"heat maps differ from Captum's by {heat_map_difference:.1e} of their maximum; "
            f"at most {HEAT_MAP_TOLERANCE:.0e} is allowed"
        )
    return {"probability_difference": difference, "heat_map_relative_difference": heat_map_difference}


def check_probabilities(name: str, found: NDArray[np.floating], expected: NDArray[np.floating]) -> float:
    """Return the largest difference of two arrays of probabilities; raise ExportError above the tolerance."""
    difference = float(np.abs(found - expected).max())
    if not difference <= PROBABILITY_TOLERANCE:  # a NaN must fail too
        raise ExportError(f"{name} differ by {difference:.1e}; at most {PROBABILITY_TOLERANCE:.0e} is allowed")
    return difference


def _heat_map_difference(
    served: ServedClassifier, found: NDArray[np.float32], frames: Tensor, features: Tensor, plane: int
) -> float:
    """Return the largest difference from Captum's Grad-CAM, relative to the maximum of each map."""
    model = PlaneClassifier(served.backbone, served.head).eval()
    oracle = LayerGradCam(model, model.backbone)
    expected = oracle.attribute(frames.float(), target=plane, relu_attributions=True)[:, 0].detach().numpy()
    # The maximum of each map if negative evidence counted as positive.
    features = features.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(served.head(features)[:, plane].sum(), features)
    evidence = gradient.mean((2, 3), keepdim=True) * features
    total = evidence.abs().sum(1).amax((1, 2)).detach().numpy()
    peak = expected.max((1, 2))
    valid = peak > _CANCELLED * total
    if not valid.any():
        return 0.0
    return float((np.abs(found - expected).max((1, 2))[valid] / peak[valid]).max())
