"""What each pixel adds to a plane's logit: GradientSHAP, to hold beside Grad-CAM.

SHAP (Lundberg and Lee, NeurIPS 2017, arXiv 1705.07874) by expected gradients (Erion et al., Nat Mach Intell 2021, arXiv
1906.10670), as Captum computes it: the gradient at points between a baseline and the view, times their difference.
"""

import cv2
import numpy as np
import torch
from captum.attr import GradientShap
from numpy.typing import NDArray
from torch import nn

Floats = NDArray[np.float32]
View = NDArray[np.uint8]

_SAMPLES = 16  # points between the view and each baseline
_NOISE = 4.0  # gray levels: standard deviation of what is added to the view
_SMOOTHING = 1 / 56  # of the view's side: single pixels are noise to an eye


def blurred(view: View) -> View:
    """The view uint8 [S, S] without what tells planes apart: its light and shade alone."""
    return np.asarray(cv2.GaussianBlur(view, (0, 0), view.shape[0] / 12), np.uint8)


def gradient_shap(model: nn.Module, view: View, plane: int, seed: int = 0) -> Floats:
    """What every pixel of a view uint8 [S, S] adds to the logit of plane number `plane`: float32 [S, S], signed.

    Baselines are the black view and the blurred one. Against black alone no dark place, a stomach or a ventricle, could
    speak for a plane: it does not differ from the baseline. Together the pixels are what the logit gains over the mean
    of the two, but for the chance in the points that are drawn.
    """
    explain = GradientShap(model.eval())
    target = torch.from_numpy(view)[None, None].float()
    state = np.random.get_state()  # Captum draws the points from NumPy's global generator, and noise from PyTorch's
    parts = []
    with torch.random.fork_rng(devices=[]):
        np.random.seed(seed)
        torch.manual_seed(seed)
        for baseline in (np.zeros_like(view), blurred(view)):
            start = torch.from_numpy(baseline)[None, None].float()
            found = explain.attribute(target, start, n_samples=_SAMPLES, stdevs=_NOISE, target=plane)
            parts.append(found[0, 0].detach().numpy())
    np.random.set_state(state)
    return np.asarray(np.mean(parts, 0), np.float32)


def smoothed(attribution: Floats) -> Floats:
    """An attribution [S, S] that an eye can follow."""
    return np.asarray(cv2.GaussianBlur(attribution, (0, 0), attribution.shape[0] * _SMOOTHING), np.float32)
