"""Whether heat maps mean something: measured against baselines that know nothing of the frame.

Deletion and insertion (Petsiuk et al., RISE, BMVC 2018, arXiv 1806.07421): places are removed from the view, or put
into a blurred one, the hottest first, and the target's probability is followed. The weight-randomisation check (Adebayo
et al., NeurIPS 2018, arXiv 1810.03292): maps of a network whose weights were replaced must differ.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from captum.attr import LayerGradCam
from numpy.typing import NDArray
from scipy.stats import spearmanr
from torch import Tensor, nn

from model_build.classifier import PlaneClassifier

Floats = NDArray[np.float32]
View = NDArray[np.uint8]
Score = Callable[[NDArray[np.uint8], int], Floats]  # views [N, 1, S, S] and a plane to its probability [N]

_STEPS = 24


@dataclass(frozen=True)
class Faithfulness:
    """Areas under the curves, means over frames: a good map has a low deletion and a high insertion."""

    deletion: float
    insertion: float


def enlarge(heat: Floats, size: int) -> Floats:
    """A heat map [h, w] at the view's size [S, S], as the overlay shows it."""
    return np.asarray(cv2.resize(heat, (size, size), interpolation=cv2.INTER_LINEAR), np.float32)


def curves(view: View, heat: Floats, plane: int, score: Score) -> tuple[float, float]:
    """Deletion and insertion area of one view uint8 [S, S] under a map float32 [S, S]; both 0..1."""
    order = np.argsort(-heat, axis=None, kind="stable")
    blurred = np.asarray(cv2.GaussianBlur(view, (0, 0), view.shape[0] / 12), np.uint8)
    cuts = np.linspace(0, order.size, _STEPS + 1).astype(int)
    deleted = np.repeat(view.reshape(1, -1), _STEPS + 1, 0)
    inserted = np.repeat(blurred.reshape(1, -1), _STEPS + 1, 0)
    for step, cut in enumerate(cuts):
        deleted[step, order[:cut]] = 0
        inserted[step, order[:cut]] = view.reshape(-1)[order[:cut]]
    shape = (_STEPS + 1, 1, *view.shape)
    areas = [float(np.trapezoid(score(part.reshape(shape), plane), dx=1 / _STEPS)) for part in (deleted, inserted)]
    return areas[0], areas[1]


def compare(
    views: Sequence[View], heats: Sequence[Floats], planes: Sequence[int], score: Score, seed: int = 0
) -> dict[str, Faithfulness]:
    """Deletion and insertion of the maps [S, S], of random maps as coarse, and of a Gaussian about the centre."""
    random = np.random.default_rng(seed)
    size = views[0].shape[0]
    axis = np.linspace(-1, 1, size, dtype=np.float32)
    centre = np.exp(-(axis[:, None] ** 2 + axis[None] ** 2) / 0.5)
    makers: dict[str, Callable[[int], Floats]] = {
        "Grad-CAM": lambda row: heats[row],
        "random, as coarse": lambda row: enlarge(random.random((size // 32, size // 32), np.float32), size),
        "centre Gaussian": lambda row: centre,
    }
    results = {}
    for name, make in makers.items():
        areas = np.array([curves(view, make(row), planes[row], score) for row, view in enumerate(views)])
        results[name] = Faithfulness(*areas.mean(0).tolist())
    return results


def randomisation(model: PlaneClassifier, views: Tensor, planes: Tensor, seed: int = 0) -> dict[str, float]:
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
            _randomise(part)
        correlations = [
            spearmanr(a.ravel(), b.ravel()).statistic
            for a, b in zip(original, _maps(model, views, planes), strict=True)
            if a.std() > 0 and b.std() > 0
        ]
        results[name] = float(np.mean(correlations)) if correlations else 0.0
    return results


def _maps(model: PlaneClassifier, views: Tensor, planes: Tensor) -> Floats:
    maps = LayerGradCam(model.eval(), model.backbone).attribute(views.float(), target=planes)
    result: Floats = maps[:, 0].detach().numpy()
    return result


def _randomise(part: nn.Module) -> None:
    for module in part.modules():
        if isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
