"""SonoNet-16, a published network for fetal standard planes, as a frozen source of features.

Source: Baumgartner et al., SonoNet (IEEE Trans Med Imaging 2017, arXiv 1612.05601), whose weights are Apache-2.0. They
are neither part of this repository nor of a model package: the user gives the file.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

_STAGES = ((16, 16), (32, 32), (64, 64, 64), (128, 128, 128), (128, 128, 128))  # filters; a pooling between two stages
_SIZE = (224, 288)  # height, width
_SCALE = 255.0  # of a standardized frame
_PER_CONVOLUTION = 5  # arrays of one convolution: weights, then beta, gamma, mean and 1 / standard deviation
_MIN_STD = 1.0  # gray levels, of an empty frame


class SonoNet16(nn.Module):
    """The convolutions of SonoNet-16, with their BatchNorms folded in; `features` of each frame has 384 numbers."""

    num_features = 3 * _STAGES[-1][-1]

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs = 1
        for number, stage in enumerate(_STAGES):
            if number:
                layers.append(nn.MaxPool2d(2))
            for outputs in stage:
                layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU(inplace=True)]
                inputs = outputs
        self.layers = nn.Sequential(*layers)

    @classmethod
    def read(cls, path: Path) -> "SonoNet16":
        """Return the network with published weights, an .npz file; raises ValueError where they are of another one."""
        network = cls()
        convolutions = [layer for layer in network.layers if isinstance(layer, nn.Conv2d)]
        with np.load(path, allow_pickle=False) as arrays, torch.no_grad():
            for number, layer in enumerate(convolutions):
                try:
                    weight, bias = _fold(arrays, number)
                    layer.weight.copy_(torch.from_numpy(weight))
                    layer.bias.copy_(torch.from_numpy(bias))  # type: ignore[union-attr]
                except (KeyError, RuntimeError, ValueError) as error:
                    raise ValueError(f"{path} does not hold the weights of SonoNet-16: {error}") from error
        return network.eval().requires_grad_(False)

    def forward(self, frames: Tensor) -> Tensor:
        """Return features float32 [N, 384] of gray levels [N, 1, S, S]: mean, spread and maximum of the last maps."""
        # As wide as its own frames, and cut to their height: a sector is wider than high, so the square is black there.
        # A frame that is stretched to this shape instead is recognized far less often.
        width, cut = _SIZE[1], (_SIZE[1] - _SIZE[0]) // 2
        x = functional.interpolate(frames, (width, width), mode="bilinear", align_corners=False, antialias=True)
        x = x[:, :, cut : cut + _SIZE[0]].contiguous(memory_format=torch.channels_last)
        std, mean = torch.std_mean(x, (1, 2, 3), correction=0, keepdim=True)
        maps = self.layers((x - mean) / std.clamp(min=_MIN_STD) * _SCALE).flatten(2)
        return torch.cat((maps.mean(2), maps.std(2), maps.amax(2)), 1)


def _fold(arrays: Mapping[str, NDArray[np.float32]], number: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return weights and bias of a convolution with its BatchNorm."""
    first = number * _PER_CONVOLUTION
    weight, beta, gamma, mean, inverse_std = (arrays[f"arr_{first + each}"] for each in range(_PER_CONVOLUTION))
    scale = gamma * inverse_std
    return weight * scale[:, None, None, None], beta - mean * scale
