"""The attention step on the backbone's last map. Each one starts as the identity, so that step 0 is plain fine-tuning.

A gate is `2 * sigmoid(g)` and the last layer of `g` starts at zero: the gate starts at one.
"""

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor, nn

_Layer = TypeVar("_Layer", nn.Linear, nn.Conv1d, nn.Conv2d)


class SqueezeExcitation(nn.Module):
    """Channel gate from the mean map (Hu et al., CVPR 2018, arXiv 1709.01507). [N, C, h, w] to the same shape."""

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        self.squeeze = nn.Linear(channels, channels // reduction)
        self.excite = _zeroed(nn.Linear(channels // reduction, channels))

    def forward(self, features: Tensor) -> Tensor:
        """Attend: [N, C, h, w] to the same shape."""
        gate = self.excite(torch.relu(self.squeeze(features.mean((2, 3)))))
        return features * (2 * torch.sigmoid(gate))[:, :, None, None]


class EfficientChannelAttention(nn.Module):
    """Channel gate from each channel's neighbors (Wang et al., CVPR 2020, arXiv 1910.03151)."""

    def __init__(self, kernel: int = 5) -> None:  # equation 12 of the paper for 1280 channels
        super().__init__()
        self.mix = _zeroed(nn.Conv1d(1, 1, kernel, padding=kernel // 2))

    def forward(self, features: Tensor) -> Tensor:
        """Attend: [N, C, h, w] to the same shape."""
        gate = self.mix(features.mean((2, 3)).unsqueeze(1)).squeeze(1)
        return features * (2 * torch.sigmoid(gate))[:, :, None, None]


class BlockAttention(nn.Module):
    """CBAM: a channel gate, then a spatial one, each from mean and maximum (Woo et al. 2018, arXiv 1807.06521)."""

    def __init__(self, channels: int, reduction: int = 16, kernel: int = 7) -> None:
        super().__init__()
        self.squeeze = nn.Linear(channels, channels // reduction)
        self.excite = _zeroed(nn.Linear(channels // reduction, channels))
        self.spatial = _zeroed(nn.Conv2d(2, 1, kernel, padding=kernel // 2))

    def forward(self, features: Tensor) -> Tensor:
        """Attend: [N, C, h, w] to the same shape."""
        pooled = features.mean((2, 3)), features.amax((2, 3))
        channel = sum(self.excite(torch.relu(self.squeeze(vector))) for vector in pooled)
        features = features * (2 * torch.sigmoid(channel))[:, :, None, None]
        forward_features = torch.cat((features.mean(1, keepdim=True), features.amax(1, keepdim=True)), 1)
        return features * (2 * torch.sigmoid(self.spatial(forward_features)))


class SelfAttention(nn.Module):
    """Dot-product attention between the places of the map, added to it (Vaswani et al. 2017, arXiv 1706.03762)."""

    def __init__(self, channels: int, width: int = 128) -> None:
        super().__init__()
        self.scale = width**-0.5
        self.query = nn.Conv2d(channels, width, 1)
        self.key = nn.Conv2d(channels, width, 1)
        self.value = nn.Conv2d(channels, width, 1)
        self.out = _zeroed(nn.Conv2d(width, channels, 1))

    def forward(self, features: Tensor) -> Tensor:
        """Attend: [N, C, h, w] to the same shape."""
        query, key, value = (layer(features).flatten(2) for layer in (self.query, self.key, self.value))
        weights = torch.softmax(query.transpose(1, 2) @ key * self.scale, -1)  # [N, places, places]
        mixed = (value @ weights.transpose(1, 2)).unflatten(2, features.shape[2:])
        attended: Tensor = features + self.out(mixed)
        return attended


ATTENTIONS: dict[str, Callable[[int], nn.Module]] = {
    "none": lambda channels: nn.Identity(),
    "se": SqueezeExcitation,
    "eca": lambda channels: EfficientChannelAttention(),
    "cbam": BlockAttention,
    "self": SelfAttention,
}


def _zeroed(layer: _Layer) -> _Layer:
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
