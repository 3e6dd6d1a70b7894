"""EfficientNet backbones: Lite0 to Lite2 and B0.

Tan and Le, EfficientNet (ICML 2019, arXiv 1905.11946); the Lite variants drop squeeze-and-excitation and use ReLU6.
All weights come from TensorFlow and need its "SAME" padding and a BatchNorm epsilon of 1e-3. Parameters have the names
of the published files (EfficientNet-PyTorch), so that loading is strict.
"""

import math
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor, nn
from torch.nn import functional

# kernel, stride, expansion, channels out, repeats: table 1 of the paper, width and depth 1.0
_STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
_STEM_CHANNELS = 32
_EPSILON = 1e-3
_MOMENTUM = 0.01


@dataclass(frozen=True)
class BackboneSpec:
    """Parameters of one EfficientNet.

    Attributes
    ----------
    width, depth
        Multipliers of channels and of blocks (compound scaling).
    mean, std
        Normalization in gray levels 0..255, one value per RGB channel.
    sha256
        Of the published weights file; None where any file is accepted.
    """

    width: float
    depth: float
    lite: bool
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    sha256: str | None

    @property
    def gray_stem(self) -> bool:
        """Whether a one-channel stem is exact: all RGB channels have the same normalization."""
        return len(set(self.mean)) == 1 and len(set(self.std)) == 1


def _lite(width: float, depth: float, sha256: str) -> BackboneSpec:
    return BackboneSpec(width, depth, True, (127.5, 127.5, 127.5), (127.5, 127.5, 127.5), sha256)


BACKBONES = {
    "lite0": _lite(1.0, 1.0, "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"),
    "lite1": _lite(1.0, 1.1, "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850"),
    "lite2": _lite(1.1, 1.2, "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"),
    "b0": BackboneSpec(1.0, 1.0, False, (123.675, 116.28, 103.53), (58.395, 57.12, 57.375), None),
}


class SameConv(nn.Conv2d):
    """Convolution with TensorFlow's "SAME" padding: an odd padding pixel goes to the right and to the bottom."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, groups: int = 1) -> None:
        # At stride 1 the padding is symmetric: the convolution pads by itself, without a copy.
        padding = kernel // 2 if stride == 1 else 0
        super().__init__(inputs, outputs, kernel, stride, padding, groups=groups, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return the convolution: [N, C, H, W] to [N, C', ceil(H / stride), ceil(W / stride)]."""
        if self.stride[0] > 1:
            bottom, right = self._padding(x.shape[-2]), self._padding(x.shape[-1])
            x = functional.pad(x, (right // 2, right - right // 2, bottom // 2, bottom - bottom // 2))
        return super().forward(x)

    def _padding(self, side: int) -> int:
        stride, kernel = self.stride[0], self.kernel_size[0]
        return max(0, (math.ceil(side / stride) - 1) * stride + kernel - side)


class InvertedResidual(nn.Module):
    """Inverted residual block: expand, depthwise convolution, squeeze-and-excitation (not in Lite), project."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int, lite: bool) -> None:
        super().__init__()
        inner = inputs * expansion
        self.activation = nn.ReLU6(inplace=True) if lite else nn.SiLU(inplace=True)
        self.residual = stride == 1 and inputs == outputs
        self.expands = expansion != 1
        if self.expands:
            self._expand_conv = nn.Conv2d(inputs, inner, 1, bias=False)
            self._bn0 = _norm(inner)
        self._depthwise_conv = SameConv(inner, inner, kernel, stride, groups=inner)
        self._bn1 = _norm(inner)
        self.excites = not lite
        if self.excites:
            self._se_reduce = nn.Conv2d(inner, max(1, inputs // 4), 1)
            self._se_expand = nn.Conv2d(max(1, inputs // 4), inner, 1)
        self._project_conv = nn.Conv2d(inner, outputs, 1, bias=False)
        self._bn2 = _norm(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Return [N, inputs, H, W] to [N, outputs, ceil(H / stride), ceil(W / stride)]."""
        y = self.activation(self._bn0(self._expand_conv(x))) if self.expands else x
        y = self.activation(self._bn1(self._depthwise_conv(y)))
        if self.excites:
            gate = self._se_expand(self.activation(self._se_reduce(y.mean((2, 3), keepdim=True))))
            y = y * torch.sigmoid(gate)
        y = self._bn2(self._project_conv(y))
        output: Tensor = x + y if self.residual else y
        return output


class Backbone(nn.Module):
    """The convolutional part of an EfficientNet.

    The input is gray levels, float32 [N, 1, S, S] in 0..255. The output is the last convolution's map after its
    activation, float32 [N, 1280, S/32, S/32]: the target layer of Grad-CAM.
    """

    channels = 1280
    mean: Tensor
    std: Tensor

    def __init__(self, spec: BackboneSpec) -> None:
        super().__init__()
        stem_inputs = 1 if spec.gray_stem else 3
        self.register_buffer("mean", torch.tensor(spec.mean[:stem_inputs]).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(spec.std[:stem_inputs]).view(1, -1, 1, 1), persistent=False)
        self.activation = nn.ReLU6(inplace=True) if spec.lite else nn.SiLU(inplace=True)
        self._conv_stem = SameConv(stem_inputs, _STEM_CHANNELS, 3, 2)
        self._bn0 = _norm(_STEM_CHANNELS)
        self._blocks = nn.ModuleList(_blocks(spec))
        ends = list(accumulate(_repeats(spec, stage) for stage in range(len(_STAGES))))
        self._stage_ends = [end - 1 for end in ends[3:6]]  # the last blocks of stages four to six
        self._conv_head = nn.Conv2d(_scale_channels(320, spec.width), self.channels, 1, bias=False)
        self._bn1 = _norm(self.channels)

    @property
    def blocks(self) -> list[nn.Module]:
        """Return the inverted residual blocks, in order."""
        return list(self._blocks)

    @property
    def stage_channels(self) -> list[int]:
        """Return the numbers of channels of stages four, five and six."""
        return [self.blocks[end].get_submodule("_bn2").num_features for end in self._stage_ends]  # type: ignore[misc]

    def forward(self, frames: Tensor) -> Tensor:
        """Return the last feature map, [N, 1280, S/32, S/32], of gray levels [N, 1, S, S]."""
        return self.forward_features(frames)[3]

    def forward_features(self, frames: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the feature maps of stages four, five and six of seven, and the last feature map.

        At width 1 they are [N, 80, S/16, S/16], [N, 112, S/16, S/16], [N, 192, S/32, S/32] and [N, 1280, S/32, S/32].
        """
        x = (frames - self.mean) / self.std
        x = self.activation(self._bn0(self._conv_stem(x)))
        stages = []
        for number, block in enumerate(self._blocks):
            x = block(x)
            if number in self._stage_ends:
                stages.append(x)
        return stages[0], stages[1], stages[2], self.activation(self._bn1(self._conv_head(x)))


def _blocks(spec: BackboneSpec) -> list[InvertedResidual]:
    blocks = []
    inputs = _STEM_CHANNELS
    for index, (kernel, stride, expansion, channels, _) in enumerate(_STAGES):
        outputs = _scale_channels(channels, spec.width)
        for repeat in range(_repeats(spec, index)):
            blocks.append(InvertedResidual(inputs, outputs, kernel, stride if repeat == 0 else 1, expansion, spec.lite))
            inputs = outputs
    return blocks


def _repeats(spec: BackboneSpec, stage: int) -> int:
    """Return the number of blocks of a stage. Lite does not scale the depth of the first and the last stage."""
    fixed = spec.lite and stage in (0, len(_STAGES) - 1)
    return _STAGES[stage][4] if fixed else math.ceil(_STAGES[stage][4] * spec.depth)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=_EPSILON, momentum=_MOMENTUM)


def _scale_channels(channels: int, width: float) -> int:
    """Scale a channel count by `width` to the nearest multiple of 8, at most 10 % down (`make_divisible`)."""
    scaled = channels * width
    rounded = max(8, int(scaled + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * scaled else rounded
