"""The head: a few filters on maps of the backbone, places weighed by attention, one linear layer."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

MAPS = ("stage4", "stage5", "stage6")
"""Outputs of the classifier that the head takes, in order."""

WIDTH = 32  # filters on each map
EYES = 8  # times that each map is looked at, each with an attention of its own


class Glance(nn.Module):
    """Looks at one map: float32 [N, C, h, w] to [N, nets * EYES * WIDTH].

    Each eye weighs the places by a softmax of its own, as pooling by attention with learned queries does (Lee et al.,
    Set Transformer, ICML 2019, arXiv 1810.00825): what counts is which structures are seen, not where the head lies or
    how it is turned. Several nets look side by side, as groups of one convolution.
    """

    def __init__(self, channels: int, nets: int = 1) -> None:
        super().__init__()
        self.nets = nets
        self.filters = nn.Conv2d(channels, nets * WIDTH, 1)
        self.weights = nn.Conv2d(nets * WIDTH, nets * EYES, 1, groups=nets)

    def forward(self, maps: Tensor) -> Tensor:
        """Look: [N, C, h, w] to [N, nets * EYES * WIDTH]."""
        seen = torch.relu(self.filters(maps))
        places = maps.shape[2] * maps.shape[3]
        weights = torch.softmax(self.weights(seen).flatten(2), 2).reshape(-1, self.nets, EYES, places)
        values = seen.reshape(-1, self.nets, WIDTH, places).transpose(2, 3)
        return torch.matmul(weights, values).flatten(1)


class SubPlaneNet(nn.Module):
    """Maps of N frames to logits float32 [N, M]; of several nets, the mean of their logits."""

    def __init__(self, channels: Sequence[int], sub_planes: int, nets: int = 1, dropout: float = 0.4) -> None:
        super().__init__()
        self.channels, self.sub_planes, self.nets = tuple(channels), sub_planes, nets
        self.glances = nn.ModuleList([Glance(count, nets) for count in channels])
        self.dropout = nn.Dropout(dropout)
        self.last = nn.Linear(len(channels) * nets * EYES * WIDTH, sub_planes)

    def forward(self, *maps: Tensor) -> Tensor:
        """Maps [N, C, h, w], one a glance, to logits [N, M]."""
        seen = [glance(each) for glance, each in zip(self.glances, maps, strict=True)]
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


class Standard(nn.Module):
    """Gives each channel of a map the mean 0 and the spread 1 that it has over training maps; then a net looks."""

    def __init__(self, net: SubPlaneNet, maps: Sequence[Tensor]) -> None:
        super().__init__()
        self.net = net
        self.centres = [each.mean((0, 2, 3)) for each in maps]
        self.spreads = [each.std((0, 2, 3)) + 1e-3 for each in maps]

    def forward(self, *maps: Tensor) -> Tensor:
        """Maps [N, C, h, w] to logits [N, M]."""
        scales = zip(maps, self.centres, self.spreads, strict=True)
        logits: Tensor = self.net(*((each - c[:, None, None]) / s[:, None, None] for each, c, s in scales))
        return logits

    @torch.no_grad()
    def folded(self) -> SubPlaneNet:
        """The net with centre and spread inside its filters: it takes maps as they are."""
        for glance, centre, spread in zip(self.net.glances, self.centres, self.spreads, strict=True):
            assert isinstance(glance, Glance)
            scaled = glance.filters.weight / spread[:, None, None]
            glance.filters.weight.copy_(scaled)
            assert glance.filters.bias is not None
            glance.filters.bias.sub_(scaled[:, :, 0, 0] @ centre)
        return self.net


@torch.no_grad()
def side_by_side(nets: Sequence[SubPlaneNet]) -> SubPlaneNet:
    """One net that gives the mean logits of several; its convolutions hold theirs, so that it takes few operations."""
    first = nets[0]
    joint = SubPlaneNet(first.channels, first.sub_planes, len(nets))
    for place, glance in enumerate(joint.glances):
        parts = [net.glances[place] for net in nets]
        for name in ("filters.weight", "filters.bias", "weights.weight", "weights.bias"):
            glance.get_parameter(name).copy_(torch.cat([part.get_parameter(name) for part in parts]))
    size = EYES * WIDTH
    bounds = list(pairwise(np.arange(len(first.channels) + 1) * size))
    columns = [net.last.weight[:, low:high] for low, high in bounds for net in nets]
    joint.last.weight.copy_(torch.cat(columns, 1) / len(nets))
    joint.last.bias.copy_(torch.stack([net.last.bias for net in nets]).mean(0))
    return joint.eval()
