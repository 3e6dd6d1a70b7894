"""How far a frame is from everything seen in training, as part of the exported graph.

The squared Mahalanobis distance from the nearest plane's centre (Lee et al., NeurIPS 2018, arXiv 1807.03888) in the
leading directions of the embedding, plus what lies outside of them (as in Wang et al., ViM, CVPR 2022,
arXiv 2203.10807), each relative to its mean over training frames: a training frame scores about 2.
"""

from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.covariance import LedoitWolf
from torch import Tensor, nn


class Novelty(nn.Module):
    """Embeddings float32 [N, C] to novelty float32 [N]; fitted by `fit`, then constant."""

    def __init__(self, centre: Tensor, whitening: Tensor, basis: Tensor, planes: Tensor, residual: float) -> None:
        super().__init__()
        self.register_buffer("centre", centre)  # [C]
        self.register_buffer("basis", basis)  # [C, D], orthonormal columns
        self.register_buffer("whitening", whitening)  # [D, D]; the within-plane covariance becomes the identity / scale
        self.register_buffer("planes", planes)  # [K, D], whitened
        self.register_buffer("residual", torch.tensor(residual))

    centre: Tensor
    basis: Tensor
    whitening: Tensor
    planes: Tensor
    residual: Tensor

    @classmethod
    def fit(cls, embeddings: Tensor, labels: NDArray[np.int64], dimensions: int = 128) -> Self:
        """Fit to the training frames' embeddings float32 [N, C] and their planes int64 [N]."""
        points = embeddings.double().numpy()
        centre = points.mean(0)
        _, _, directions = np.linalg.svd(points - centre, full_matrices=False)
        basis = directions[: min(dimensions, len(directions))].T
        leading = (points - centre) @ basis
        centres = np.stack([leading[labels == plane].mean(0) for plane in range(int(labels.max()) + 1)])
        precision = LedoitWolf(assume_centered=True).fit(leading - centres[labels]).precision_
        whitening = np.linalg.cholesky(precision)
        distances = (((leading - centres[labels]) @ whitening) ** 2).sum(1)
        whitening /= np.sqrt(distances.mean())
        residual = ((points - centre) ** 2).sum(1) - (leading**2).sum(1)
        return cls(
            torch.from_numpy(centre).float(),
            torch.from_numpy(whitening).float(),
            torch.from_numpy(basis).float(),
            torch.from_numpy(centres @ whitening).float(),
            float(residual.mean()),
        )

    def forward(self, embeddings: Tensor) -> Tensor:
        """Novelty float32 [N], at least 0."""
        shifted = embeddings - self.centre
        leading = shifted @ self.basis
        whitened = (leading @ self.whitening).unsqueeze(1) - self.planes
        distance = (whitened**2).sum(2).amin(1)
        outside = (shifted**2).sum(1) - (leading**2).sum(1)
        return distance + outside / self.residual
