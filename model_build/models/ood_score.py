"""The out-of-distribution score of a frame, as part of the exported graph: the sum of two standardized terms.

- The energy of the logits, -log sum exp (Liu et al., NeurIPS 2020, arXiv 2010.03759): high where there is little
  evidence for any plane.
- The outlier head, a logistic regression on the last features, pooled: high where the features are those of other
  organs or of frames without anatomy. It is outlier exposure (Hendrycks et al., ICLR 2019, arXiv 1812.04606) that
  leaves the network as it is.

For the same share of answered frames, a limit on the sum accepts fewer frames of organs that the head was not fitted to
than one limit for each term.
"""

from collections.abc import Sequence
from typing import Self

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

_INVERSE_PENALTY = 0.01  # of the squared weights of standardized features: scikit-learn's `C`
_MIN_SPREAD = 0.05  # of a feature, as a share of the mean: a feature that is constant over frames is not an outlier's
_EPSILON = 1e-6  # keeps divisions finite


class OodScore(nn.Module):
    """Pooled features [N, C] and logits [N, K] to scores float32 [N], a linear function of features and energy."""

    def __init__(self, weights: Tensor, bias: float, energy_weight: float) -> None:
        super().__init__()
        self.weights = nn.Buffer(weights)  # [C]
        self.bias = nn.Buffer(torch.tensor(bias))
        self.energy_weight = nn.Buffer(torch.tensor(energy_weight))

    @classmethod
    def fit_head(cls, frames: Tensor, negatives: Sequence[Tensor]) -> Self:
        """Return the outlier head alone, fitted to pooled features of frames [N, C] and of negatives.

        Each group of negatives, [M, C], has the same weight; all groups together weigh as much as the frames.
        """
        groups = [frames, *negatives]
        features = torch.cat(groups).double().numpy()
        labels = np.arange(len(features)) >= len(frames)
        shares = [1.0, *([1 / len(negatives)] * len(negatives))]
        weights = np.concatenate(
            [np.full(len(group), share * len(frames) / len(group)) for group, share in zip(groups, shares, strict=True)]
        )
        mean, spread = features[: len(frames)].mean(0), features[: len(frames)].std(0)
        spread = np.maximum(spread, _MIN_SPREAD * spread.mean() + _EPSILON)
        model = LogisticRegression(C=_INVERSE_PENALTY, max_iter=500)
        model.fit((features - mean) / spread, labels, sample_weight=weights)
        scaled = model.coef_[0] / spread
        return cls(torch.from_numpy(scaled).float(), float(model.intercept_[0] - scaled @ mean), 0.0)

    def with_energy(self, pooled: Tensor, logits: Tensor) -> Self:
        """Return the sum of head and energy, each divided by its standard deviation over these inputs of frames.

        Over them, the sum has mean 0 and standard deviation 1.
        """
        head, energy = self(pooled, logits).double(), -logits.double().logsumexp(1)
        of_head, of_energy = (1 / (float(term.std()) + _EPSILON) for term in (head, energy))
        total = of_head * head + of_energy * energy
        mean, spread = float(total.mean()), float(total.std()) + _EPSILON
        weights, bias = self.weights * (of_head / spread), (float(self.bias) * of_head - mean) / spread
        return type(self)(weights, bias, of_energy / spread)

    def forward(self, pooled: Tensor, logits: Tensor) -> Tensor:
        """Return scores float32 [N] of pooled features [N, C] and logits [N, K]."""
        return pooled @ self.weights + self.bias - self.energy_weight * logits.logsumexp(1)
