"""The sub-plane head: attention pooling on intermediate feature maps of the backbone, and one linear layer."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

MAPS = ("stage4", "stage5", "stage6")  # outputs of the classifier graph that the head takes as inputs, in order
WIDTH = 32  # filters per feature map
NUM_QUERIES = 8  # attention maps per feature map


class AttentionPool(nn.Module):
    """Pool a feature map by attention with learned queries: float32 [N, C, h, w] to [N, NUM_QUERIES * WIDTH].

    Each query is a softmax over the positions, as in pooling by multihead attention (Lee et al., Set Transformer, ICML
    2019, arXiv 1810.00825). The result depends on which structures are visible, not on where the head lies or how it is
    rotated.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)  # the stages have different scales
        self.filters = nn.Conv2d(channels, WIDTH, 1)
        self.queries = nn.Conv2d(WIDTH, NUM_QUERIES, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Return the pooled features: [N, C, h, w] to [N, NUM_QUERIES * WIDTH]."""
        values = torch.relu(self.filters(self.norm(features)))
        weights = torch.softmax(self.queries(values).flatten(2), 2)
        return torch.matmul(weights, values.flatten(2).transpose(1, 2)).flatten(1)


class SubPlaneHead(nn.Module):
    """Feature maps of N frames to logits float32 [N, M]."""

    def __init__(self, channels: Sequence[int], num_sub_planes: int, dropout: float = 0.4) -> None:
        super().__init__()
        self.pools = nn.ModuleList([AttentionPool(count) for count in channels])
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(len(channels) * NUM_QUERIES * WIDTH, num_sub_planes)

    def forward(self, *stages: Tensor) -> Tensor:
        """Return logits [N, M] of one feature map [N, C, h, w] per pool."""
        pooled = [pool(stage) for pool, stage in zip(self.pools, stages, strict=True)]
        logits: Tensor = self.linear(self.dropout(torch.cat(pooled, 1)))
        return logits


class ServedSubPlanes(nn.Module):
    """The exported sub-plane graph: head, temperature and softmax."""

    def __init__(self, head: SubPlaneHead, temperature: float) -> None:
        super().__init__()
        self.head = head
        self.temperature = temperature

    def forward(self, stage4: Tensor, stage5: Tensor, stage6: Tensor) -> Tensor:
        """Return calibrated probabilities float32 [N, M]; one argument per map, as the exporter requires."""
        return torch.softmax(self.head(stage4, stage5, stage6) / self.temperature, 1)
