"""GradientSHAP: the contribution of each pixel to the logit of a plane, to compare with Grad-CAM.

SHAP (Lundberg and Lee, NeurIPS 2017, arXiv 1705.07874) by expected gradients (Erion et al., Nat Mach Intell 2021, arXiv
1906.10670), computed by Captum: the gradient at points between a baseline and the input, times their difference.
"""

import cv2
import numpy as np
import torch
from captum.attr import GradientShap
from numpy.typing import NDArray
from torch import nn

Floats = NDArray[np.float32]
Gray = NDArray[np.uint8]

_SAMPLES = 16  # points between the input and each baseline
_NOISE = 4.0  # gray levels; standard deviation of the noise that is added to the input
_SMOOTHING = 1 / 56  # of the input's side; single pixels look like noise


def blurred(pixels: Gray) -> Gray:
    """Return an input uint8 [S, S] without the detail that distinguishes planes; only coarse brightness remains."""
    return np.asarray(cv2.GaussianBlur(pixels, (0, 0), pixels.shape[0] / 12), np.uint8)


def gradient_shap(model: nn.Module, pixels: Gray, plane: int) -> Floats:
    """Return the signed contribution float32 [S, S] of each pixel of an input uint8 [S, S] to the logit of `plane`.

    There are two baselines, black and the blurred input. With black alone, a dark structure such as a stomach or a
    ventricle could not count as evidence, because it does not differ from the baseline. The contributions sum to the
    difference between the logit and its mean over the two baselines, up to sampling error.
    """
    explain = GradientShap(model.eval())
    target = torch.from_numpy(pixels)[None, None].float()
    state = np.random.get_state()  # Captum samples points from NumPy's global generator, and noise from PyTorch's
    parts = []
    with torch.random.fork_rng(devices=[]):
        np.random.seed(0)
        torch.manual_seed(0)
        for baseline in (np.zeros_like(pixels), blurred(pixels)):
            start = torch.from_numpy(baseline)[None, None].float()
            found = explain.attribute(target, start, n_samples=_SAMPLES, stdevs=_NOISE, target=plane)
            parts.append(found[0, 0].detach().numpy())
    np.random.set_state(state)
    return np.asarray(np.mean(parts, 0), np.float32)


def smoothed(attribution: Floats) -> Floats:
    """Return a contribution map [S, S] smoothed for display."""
    return np.asarray(cv2.GaussianBlur(attribution, (0, 0), attribution.shape[0] * _SMOOTHING), np.float32)
