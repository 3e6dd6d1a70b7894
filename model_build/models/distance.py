"""The distance of a frame's texture from that of the training frames, as part of the exported graph.

The logarithm of the squared Mahalanobis distance from the nearest plane's center (Lee et al., NeurIPS 2018, arXiv
1807.03888) plus the residual outside of the leading directions (as in Wang et al., ViM, CVPR 2022, arXiv 2203.10807).
The descriptor is the mean and standard deviation of each channel of stage five: there, tissue and other pictures are
far apart, while the last features only keep what separates the planes. It measures grain and brightness, not anatomy:
frames of other hospitals are as far away as other organs, so it only serves to refuse what is further than both.

It is fitted to augmented inputs as well. The network fits its training frames so closely that, fitted to those alone,
every frame of another scanner would be far away.
"""

from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.covariance import LedoitWolf
from torch import Tensor, nn

_DIMENSIONS = 128
_EPSILON = 1e-6  # keeps roots and logarithms finite
_MIN_RESIDUAL = 1e-3  # share of the variance: a small training set has no residual of its own


class Distance(nn.Module):
    """Feature maps float32 [N, C, h, w] of stage five to distances float32 [N]; fitted by `fit`, then constant."""

    def __init__(self, center: Tensor, whitening: Tensor, basis: Tensor, planes: Tensor, residual: float) -> None:
        super().__init__()
        self.center = nn.Buffer(center)  # [2 C]
        self.basis = nn.Buffer(basis)  # [2 C, D], orthonormal columns
        self.whitening = nn.Buffer(whitening)  # [D, D]; the within-plane covariance becomes the identity / scale
        self.planes = nn.Buffer(planes)  # [K, D], whitened
        self.residual = nn.Buffer(torch.tensor(residual))

    @classmethod
    def fit(cls, descriptors: Tensor, labels: NDArray[np.int64]) -> Self:
        """Fit to training inputs: descriptors [N, 2 C] from `describe` and true planes int64 [N]."""
        # The leading directions of all descriptors, by PCA.
        points = descriptors.double().numpy()
        center = points.mean(0)
        _, _, directions = np.linalg.svd(points - center, full_matrices=False)
        basis = directions[: min(_DIMENSIONS, len(directions))].T
        leading = (points - center) @ basis
        # The within-plane covariance (shrunk, Ledoit and Wolf 2004) and its whitening, of mean squared length 1.
        present = np.unique(labels)
        centers = np.stack([leading[labels == plane].mean(0) for plane in present])
        own = leading - centers[np.searchsorted(present, labels)]
        whitening = np.linalg.cholesky(LedoitWolf(assume_centered=True).fit(own).precision_)
        whitening /= np.sqrt(((own @ whitening) ** 2).sum(1).mean())
        # The squared length outside of the leading directions.
        total = ((points - center) ** 2).sum(1)
        residual = total - (leading**2).sum(1)
        return cls(
            torch.from_numpy(center).float(),
            torch.from_numpy(whitening).float(),
            torch.from_numpy(basis).float(),
            torch.from_numpy(centers @ whitening).float(),
            float(max(residual.mean(), _MIN_RESIDUAL * total.mean())),
        )

    @staticmethod
    def describe(features: Tensor) -> Tensor:
        """Return the mean and standard deviation of each channel: [N, C, h, w] to [N, 2 C]."""
        means = features.mean((2, 3))
        variances = ((features - means[:, :, None, None]) ** 2).mean((2, 3))
        return torch.cat([means, (variances + _EPSILON).sqrt()], 1)

    def forward(self, features: Tensor) -> Tensor:
        """Return distances float32 [N] of stage five's feature map [N, C, h, w]."""
        return self.of(self.describe(features))

    def of(self, descriptors: Tensor) -> Tensor:
        """Return distances float32 [N] of descriptors [N, 2 C]."""
        shifted = descriptors - self.center
        leading = shifted @ self.basis
        whitened = (leading @ self.whitening).unsqueeze(1) - self.planes
        distance = (whitened**2).sum(2).amin(1)
        outside = (shifted**2).sum(1) - (leading**2).sum(1)
        return (distance + outside / self.residual).clamp(min=_EPSILON).log()
