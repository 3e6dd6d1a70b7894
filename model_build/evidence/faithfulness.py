"""Whether heat maps mean something: measured against baselines that know nothing of the frame.

Deletion and insertion (Petsiuk et al., RISE, BMVC 2018, arXiv 1806.07421): places are removed from the view, or put
into a blurred one, the hottest first, and the target's probability is followed. The weight-randomization check (Adebayo
et al., NeurIPS 2018, arXiv 1810.03292): maps of a network whose weights were replaced must differ.
"""

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
View = NDArray[np.uint8]
Score = Callable[[NDArray[np.uint8], int], Floats]  # views [N, 1, S, S] and a plane to its probability [N]

Change = Callable[[View], View]

CENTER = "center Gaussian"
_STEPS = 12  # twice as many change the means by 0.005 at most


def _black(view: View) -> View:
    return np.zeros_like(view)


def _mean(view: View) -> View:
    """The mean of what is not black, everywhere."""
    return np.full_like(view, round(float(view[view > 0].mean())) if view.any() else 0)


# What a view starts as and what its places become, by measure. No replacement is neutral: black is what a scanner draws
# where there is nothing, and a shadow; a blur leaves coarse shapes; an even gray has edges of its own.
MEASURES: dict[str, tuple[Change, Change]] = {
    "deletion": (np.copy, _black),
    "deletion_blurred": (np.copy, blurred),
    "deletion_mean": (np.copy, _mean),
    "insertion": (blurred, np.copy),
}


def enlarge(heat: Floats, size: int) -> Floats:
    """A heat map [h, w] at the view's size [S, S], as the overlay shows it."""
    return np.asarray(cv2.resize(heat, (size, size), interpolation=cv2.INTER_LINEAR), np.float32)


def areas(view: View, heat: Floats, plane: int, score: Score) -> dict[str, float]:
    """The area under each measure's curve, 0..1, of one view uint8 [S, S] under a map float32 [S, S].

    A good map has low deletions and a high insertion.
    """
    order = np.argsort(-heat, axis=None, kind="stable")
    cuts = np.linspace(0, order.size, _STEPS + 1).astype(int)
    found = {}
    for name, (start, change) in MEASURES.items():
        before, after = start(view).reshape(-1), change(view).reshape(-1)
        steps = np.repeat(before[None], _STEPS + 1, 0)
        for step, cut in enumerate(cuts):
            steps[step, order[:cut]] = after[order[:cut]]
        probabilities = score(steps.reshape(_STEPS + 1, 1, *view.shape), plane)
        found[name] = float(np.trapezoid(probabilities, dx=1 / _STEPS))
    return found


def uninformed(count: int, size: int, seed: int = 0) -> dict[str, list[Floats]]:
    """Maps [S, S] that know nothing of the frame: random ones as coarse as Grad-CAM's, and a spot in the center."""
    random = np.random.default_rng(seed)
    axis = np.linspace(-1, 1, size, dtype=np.float32)
    center = np.exp(-(axis[:, None] ** 2 + axis[None] ** 2) / 0.5)
    coarse = [enlarge(random.random((size // 32, size // 32), np.float32), size) for _ in range(count)]
    return {"random, as coarse": coarse, CENTER: [center] * count}


def compare(
    views: Sequence[View], forward_features: Mapping[str, Sequence[Floats]], planes: Sequence[int], score: Score
) -> dict[str, list[dict[str, float]]]:
    """`areas` of every view under each method's maps [S, S], and under those that know nothing of the frame."""
    known = {**forward_features, **uninformed(len(views), views[0].shape[0])}
    return {
        name: [areas(*each, score) for each in zip(views, heats, planes, strict=True)] for name, heats in known.items()
    }


def randomization(model: PlaneClassifier, views: Tensor, planes: Tensor, seed: int = 0) -> dict[str, float]:
    """Mean rank correlation of the maps with those of the same network, its weights replaced from the top down.

    Near 1 would mean that the maps ignore what the network has learned.
    """
    torch.manual_seed(seed)
    original = _maps(model, views, planes)
    results = {}
    stages: list[tuple[str, list[nn.Module]]] = [
        ("head", [model.head]),
        ("and last convolution", [model.backbone.get_submodule("_conv_head")]),
        ("and last six blocks", model.backbone.blocks[-6:]),
        ("all", [model.backbone]),
    ]
    for name, parts in stages:
        for part in parts:
            _randomize(part)
        correlations = [
            spearmanr(a.ravel(), b.ravel()).statistic
            for a, b in zip(original, _maps(model, views, planes), strict=True)
            if a.std() > 0 and b.std() > 0
        ]
        results[name] = float(np.mean(correlations)) if correlations else 0.0
    return results


def _maps(model: PlaneClassifier, views: Tensor, planes: Tensor) -> Floats:
    forward_features = LayerGradCam(model.eval(), model.backbone).attribute(views.float(), target=planes)
    result: Floats = forward_features[:, 0].detach().numpy()
    return result


def _randomize(part: nn.Module) -> None:
    for module in part.modules():
        if isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
