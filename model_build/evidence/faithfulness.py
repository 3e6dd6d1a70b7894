"""Tests of heat maps against baselines that do not depend on the frame.

Deletion and insertion (Petsiuk et al., RISE, BMVC 2018, arXiv 1806.07421): pixels are removed from the input, or added
to a blurred one, in the order of the heat map, and the probability of the target plane is recorded.

Weight randomization (Adebayo et al., NeurIPS 2018, arXiv 1810.03292): random weights must give other heat maps.
"""

import copy
from collections.abc import Callable, Mapping, Sequence

import cv2
import numpy as np
import torch
from captum.attr import LayerGradCam
from numpy.typing import NDArray
from scipy.stats import spearmanr
from torch import Tensor, nn

from model_build.evidence.gradient_shap import blurred
from model_build.models.classifier import PlaneClassifier

Floats = NDArray[np.float32]
Gray = NDArray[np.uint8]
ScorePlane = Callable[[NDArray[np.uint8], int], Floats]  # inputs [N, 1, S, S] and a plane to its probability [N]
Areas = dict[str, list[dict[str, float]]]  # by heat-map method: for every frame, the area by measure

CENTER = "center Gaussian"
_STEPS = 12  # 24 steps change the means by at most 0.005


def _mean(pixels: Gray) -> Gray:
    """Return an input in which every pixel is the mean of the pixels that are not black."""
    return np.full_like(pixels, round(float(pixels[pixels > 0].mean())) if pixels.any() else 0)


# By measure: the first input, and the input that its pixels are replaced from. No replacement is neutral. Black also
# shows fluid and shadows; a blur keeps coarse shapes; an even gray has edges of its own.
MEASURES: dict[str, tuple[Callable[[Gray], Gray], Callable[[Gray], Gray]]] = {
    "deletion": (np.copy, np.zeros_like),
    "deletion_blurred": (np.copy, blurred),
    "deletion_mean": (np.copy, _mean),
    "insertion": (blurred, np.copy),
}


def upsample(heat: Floats, size: int) -> Floats:
    """Return a heat map [h, w] at the size of the input [S, S], interpolated as in the overlay."""
    return np.asarray(cv2.resize(heat, (size, size), interpolation=cv2.INTER_LINEAR), np.float32)


def areas(pixels: Gray, heat: Floats, plane: int, score: ScorePlane) -> dict[str, float]:
    """Return the area under the curve of each measure, 0..1, of an input uint8 [S, S] and its heat map float32 [S, S].

    A good heat map has low deletion and high insertion.
    """
    order = np.argsort(-heat, axis=None, kind="stable")  # the hottest pixel first
    cuts = np.linspace(0, order.size, _STEPS + 1).astype(int)
    found = {}
    for name, (start, replacement) in MEASURES.items():
        before, after = start(pixels).reshape(-1), replacement(pixels).reshape(-1)
        steps = np.repeat(before[None], _STEPS + 1, 0)
        for step, cut in enumerate(cuts):
            steps[step, order[:cut]] = after[order[:cut]]
        probabilities = score(steps.reshape(-1, 1, *pixels.shape), plane)
        found[name] = float(np.trapezoid(probabilities, dx=1 / _STEPS))
    return found


def baseline_maps(count: int, size: int) -> dict[str, list[Floats]]:
    """Return `count` heat maps [S, S] per baseline: random ones as coarse as Grad-CAM, and a Gaussian in the center."""
    random = np.random.default_rng(0)
    axis = np.linspace(-1, 1, size, dtype=np.float32)
    center = np.exp(-(axis[:, None] ** 2 + axis[None] ** 2) / 0.5)
    coarse = [upsample(random.random((size // 32, size // 32), np.float32), size) for _ in range(count)]
    return {"random, as coarse": coarse, CENTER: [center] * count}


def compare(
    inputs: Sequence[Gray], heat_maps: Mapping[str, Sequence[Floats]], planes: Sequence[int], score: ScorePlane
) -> Areas:
    """Return `areas` of every input for the heat maps [S, S] of each method, and for the baselines."""
    methods = {**heat_maps, **baseline_maps(len(inputs), inputs[0].shape[0])}
    return {
        name: [areas(*frame, score) for frame in zip(inputs, heats, planes, strict=True)]
        for name, heats in methods.items()
    }


def randomization(model: PlaneClassifier, inputs: Tensor, planes: Tensor) -> dict[str, float]:
    """Return the mean rank correlation of Grad-CAM before and after weights are randomized, from the head down.

    A value near 1 means that the heat maps do not depend on what the network has learned. `model` keeps its weights:
    a copy is randomized.
    """
    original = _grad_cam(model, inputs, planes)
    model = copy.deepcopy(model)
    stages: list[tuple[str, list[nn.Module]]] = [
        ("head", [model.head]),
        ("and last convolution", [model.backbone.get_submodule("_conv_head")]),
        ("and last six blocks", model.backbone.blocks[-6:]),
        ("all", [model.backbone]),
    ]
    results = {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for name, parts in stages:
            for part in parts:
                _randomize(part)
            correlations = [
                spearmanr(a.ravel(), b.ravel()).statistic
                for a, b in zip(original, _grad_cam(model, inputs, planes), strict=True)
                if a.std() > 0 and b.std() > 0  # the correlation with a constant map is undefined
            ]
            results[name] = float(np.mean(correlations)) if correlations else 0.0
    return results


def _grad_cam(model: PlaneClassifier, inputs: Tensor, planes: Tensor) -> Floats:
    heat_maps = LayerGradCam(model.eval(), model.backbone).attribute(inputs.float(), target=planes)
    result: Floats = heat_maps[:, 0].detach().numpy()
    return result


def _randomize(part: nn.Module) -> None:
    for module in part.modules():
        if isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
