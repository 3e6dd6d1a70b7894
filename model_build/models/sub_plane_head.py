"""The second head: a few filters on maps of the backbone, places weighed by attention, one linear layer."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

MAPS = ("stage4", "stage5", "stage6")
"""Outputs of the classifier that the head takes, in order."""

WIDTH = 32  # filters on each map
NUM_QUERIES = 8  # times that each map is looked at, each with an attention of its own


class AttentionPool(nn.Module):
    """Looks at one map: float32 [N, C, h, w] to [N, EYES * WIDTH].

    Each eye weighs the places by a softmax of its own, as pooling by attention with learned queries does (Lee et al.,
    Set Transformer, ICML 2019, arXiv 1810.00825): what counts is which structures are seen, not where the head lies or
    how it is turned.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.standard = nn.BatchNorm2d(channels, affine=False)  # maps of different stages have different scales
        self.filters = nn.Conv2d(channels, WIDTH, 1)
        self.weights = nn.Conv2d(WIDTH, NUM_QUERIES, 1)

    def forward(self, forward_features: Tensor) -> Tensor:
        """Look: [N, C, h, w] to [N, EYES * WIDTH]."""
        seen = torch.relu(self.filters(self.standard(forward_features)))
        weights = torch.softmax(self.weights(seen).flatten(2), 2)
        return torch.matmul(weights, seen.flatten(2).transpose(1, 2)).flatten(1)


class SubPlaneNet(nn.Module):
    """Maps of N frames to logits float32 [N, M]."""

    def __init__(self, channels: Sequence[int], sub_planes: int, dropout: float = 0.4) -> None:
        super().__init__()
        self.glances = nn.ModuleList([AttentionPool(count) for count in channels])
        self.dropout = nn.Dropout(dropout)
        self.last = nn.Linear(len(channels) * NUM_QUERIES * WIDTH, sub_planes)

    def forward(self, *forward_features: Tensor) -> Tensor:
        """Maps [N, C, h, w], one a glance, to logits [N, M]."""
        seen = [glance(each) for glance, each in zip(self.glances, forward_features, strict=True)]
        logits: Tensor = self.last(self.dropout(torch.cat(seen, 1)))
        return logits


class ServedSubPlanes(nn.Module):
    """All that the sub-plane graph computes: the net, its temperature, the softmax."""

    def __init__(self, net: SubPlaneNet, temperature: float) -> None:
        super().__init__()
        self.net = net
        self.temperature = temperature

    def forward(self, stage4: Tensor, stage5: Tensor, stage6: Tensor) -> Tensor:
        """Maps of N frames, each an argument as the exporter wants it, to calibrated probabilities float32 [N, M]."""
        return torch.softmax(self.net(stage4, stage5, stage6) / self.temperature, 1)
