"""The attention step on the backbone's last feature map; a new one needs one entry in `ATTENTIONS`.

Every attention starts as the identity, so that the first training step is plain fine-tuning: a gate is `2 * sigmoid(g)`
and the last layer of `g` starts at zero; a residual branch starts at zero.
"""

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor, nn

_Layer = TypeVar("_Layer", nn.Linear, nn.Conv1d, nn.Conv2d)


class SqueezeExcitation(nn.Module):
    """Channel gate computed from the mean of each channel (Hu et al., CVPR 2018, arXiv 1709.01507)."""

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        self.squeeze = nn.Linear(channels, channels // reduction)
        self.excite = _zero_init(nn.Linear(channels // reduction, channels))

    def forward(self, features: Tensor) -> Tensor:
        """Return the gated features, [N, C, h, w] as the input."""
        gate = self.excite(torch.relu(self.squeeze(features.mean((2, 3)))))
        return features * (2 * torch.sigmoid(gate))[:, :, None, None]


class EfficientChannelAttention(nn.Module):
    """ECA: channel gate computed from neighboring channels (Wang et al., CVPR 2020, arXiv 1910.03151)."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = _zero_init(nn.Conv1d(1, 1, 5, padding=2))  # equation 12 of the paper for 1280 channels

    def forward(self, features: Tensor) -> Tensor:
        """Return the gated features, [N, C, h, w] as the input."""
        gate = self.mix(features.mean((2, 3)).unsqueeze(1)).squeeze(1)
        return features * (2 * torch.sigmoid(gate))[:, :, None, None]


class ConvolutionalBlockAttention(SqueezeExcitation):
    """CBAM: a channel gate, then a spatial gate, each from mean and maximum (Woo et al. 2018, arXiv 1807.06521)."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.spatial = _zero_init(nn.Conv2d(2, 1, 7, padding=3))

    def forward(self, features: Tensor) -> Tensor:
        """Return the gated features, [N, C, h, w] as the input."""
        pooled = features.mean((2, 3)), features.amax((2, 3))
        channel_gate = sum(self.excite(torch.relu(self.squeeze(vector))) for vector in pooled)
        features = features * (2 * torch.sigmoid(channel_gate))[:, :, None, None]
        spatial = torch.cat((features.mean(1, keepdim=True), features.amax(1, keepdim=True)), 1)
        return features * (2 * torch.sigmoid(self.spatial(spatial)))


class SelfAttention(nn.Module):
    """Residual dot-product attention between positions of the map (Vaswani et al. 2017, arXiv 1706.03762)."""

    def __init__(self, channels: int, width: int = 128) -> None:
        super().__init__()
        self.scale = width**-0.5
        self.query = nn.Conv2d(channels, width, 1)
        self.key = nn.Conv2d(channels, width, 1)
        self.value = nn.Conv2d(channels, width, 1)
        self.out = _zero_init(nn.Conv2d(width, channels, 1))

    def forward(self, features: Tensor) -> Tensor:
        """Return the features plus what attention adds, [N, C, h, w] as the input."""
        query, key, value = (layer(features).flatten(2) for layer in (self.query, self.key, self.value))
        weights = torch.softmax(query.transpose(1, 2) @ key * self.scale, -1)  # [N, h * w, h * w]
        mixed = (value @ weights.transpose(1, 2)).unflatten(2, features.shape[2:])
        attended: Tensor = features + self.out(mixed)
        return attended


ATTENTIONS: dict[str, Callable[[int], nn.Module]] = {
    "none": lambda channels: nn.Identity(),
    "se": SqueezeExcitation,
    "eca": lambda channels: EfficientChannelAttention(),
    "cbam": ConvolutionalBlockAttention,
    "self": SelfAttention,
}
"""Each makes the attention for a number of channels; the name goes into a recipe."""


def _zero_init(layer: _Layer) -> _Layer:
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
