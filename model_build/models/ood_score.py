"""How far a frame is from everything that training made of its frames, as part of the exported graph.

Two signs, added: what the network sees halfway, and how little it makes of it in the end.

- The squared Mahalanobis distance from the nearest plane's center (Lee et al., NeurIPS 2018, arXiv 1807.03888) of the
  mean and spread of the fifth stage's channels, in their leading directions, plus what lies outside of these (as in
  Wang et al., ViM, CVPR 2022, arXiv 2203.10807). Halfway, tissue and what is none are far apart; the last features were
  taught to tell planes and forgot the rest.
- The energy of the logits, -log sum exp (Liu et al., NeurIPS 2020, arXiv 2010.03759).

Both are fitted to varied views of the training frames, not to the frames: a network knows its training frames so well
that a frame of any other machine would be unfamiliar.
"""

from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.covariance import LedoitWolf
from torch import Tensor, nn

_DIMENSIONS = 128
_LEAST = 1e-6  # keeps roots, logarithms and divisions finite
_LEAST_OUTSIDE = 1e-3  # of all variance: few frames leave nothing outside the directions that they span


class OodScore(nn.Module):
    """Maps float32 [N, C, h, w] and logits [N, K] to ood_score float32 [N]; fitted by `fit`, then constant.

    Over the views that it was fitted to, each of its two terms has mean 0 and standard deviation 1.
    """

    def __init__(self, center: Tensor, whitening: Tensor, basis: Tensor, planes: Tensor, residual: float) -> None:
        super().__init__()
        self.register_buffer("center", center)  # [2 C]
        self.register_buffer("basis", basis)  # [2 C, D], orthonormal columns
        self.register_buffer("whitening", whitening)  # [D, D]; the within-plane covariance becomes the identity / scale
        self.register_buffer("planes", planes)  # [K, D], whitened
        self.register_buffer("residual", torch.tensor(residual))
        self.register_buffer("means", torch.zeros(2))  # of log distance and energy
        self.register_buffer("spreads", torch.ones(2))

    center: Tensor
    basis: Tensor
    whitening: Tensor
    planes: Tensor
    residual: Tensor
    means: Tensor
    spreads: Tensor

    @classmethod
    def fit(cls, descriptors: Tensor, logits: Tensor, labels: NDArray[np.int64]) -> Self:
        """Fit to views of training frames: what `describe` gives of them [N, 2 C], logits [N, K], planes int64 [N]."""
        points = descriptors.double().numpy()
        center = points.mean(0)
        _, _, directions = np.linalg.svd(points - center, full_matrices=False)
        basis = directions[: min(_DIMENSIONS, len(directions))].T
        leading = (points - center) @ basis
        present = np.unique(labels)
        centers = np.stack([leading[labels == plane].mean(0) for plane in present])
        own = leading - centers[np.searchsorted(present, labels)]
        whitening = np.linalg.cholesky(LedoitWolf(assume_centered=True).fit(own).precision_)
        whitening /= np.sqrt(((own @ whitening) ** 2).sum(1).mean())
        everything = ((points - center) ** 2).sum(1)
        residual = everything - (leading**2).sum(1)
        fitted = cls(
            torch.from_numpy(center).float(),
            torch.from_numpy(whitening).float(),
            torch.from_numpy(basis).float(),
            torch.from_numpy(centers @ whitening).float(),
            float(max(residual.mean(), _LEAST_OUTSIDE * everything.mean())),
        )
        terms = fitted._terms(descriptors, logits)
        fitted.means, fitted.spreads = terms.mean(0), terms.std(0).clamp(min=_LEAST)
        return fitted

    @staticmethod
    def describe(forward_features: Tensor) -> Tensor:
        """Mean and standard deviation of each channel: [N, C, h, w] to [N, 2 C]."""
        means = forward_features.mean((2, 3))
        variances = ((forward_features - means[:, :, None, None]) ** 2).mean((2, 3))
        return torch.cat([means, (variances + _LEAST).sqrt()], 1)

    def forward(self, forward_features: Tensor, logits: Tensor) -> Tensor:
        """OodScore float32 [N] of the fifth stage's maps [N, C, h, w] and the logits [N, K]."""
        return self.combine(self.describe(forward_features), logits)

    def combine(self, descriptors: Tensor, logits: Tensor) -> Tensor:
        """The same, of what `describe` gives of the maps."""
        return ((self._terms(descriptors, logits) - self.means) / self.spreads).sum(1)

    def _terms(self, descriptors: Tensor, logits: Tensor) -> Tensor:
        """The logarithm of the distance, and the energy: [N, 2]."""
        shifted = descriptors - self.center
        leading = shifted @ self.basis
        whitened = (leading @ self.whitening).unsqueeze(1) - self.planes
        distance = (whitened**2).sum(2).amin(1)
        outside = (shifted**2).sum(1) - (leading**2).sum(1)
        total = (distance + outside / self.residual).clamp(min=_LEAST)
        return torch.stack([total.log(), -logits.logsumexp(1)], 1)
