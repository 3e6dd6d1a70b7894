"""EfficientNet backbones: Lite0 to Lite2 and B0.

Tan and Le, EfficientNet (ICML 2019, arXiv 1905.11946); the Lite variants drop squeeze-and-excitation and use ReLU6.
All weights come from TensorFlow and need its "SAME" padding and a BatchNorm epsilon of 1e-3. Parameters have the names
of the published files (EfficientNet-PyTorch), so that loading is strict.
"""

import math
from dataclasses import dataclass

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


@dataclass(frozen=True)
class BackboneSpec:
    """Parameters of one EfficientNet: a Lite variant unless it states the normalization of each RGB channel."""

    width: float  # multiplier of channels
    depth: float  # multiplier of blocks
    sha256: str | None  # of the published weights file; None where any file is accepted
    mean: tuple[float, ...] = (127.5,)  # gray levels
    std: tuple[float, ...] = (127.5,)

    @property
    def lite(self) -> bool:
        """Whether all RGB channels have the same normalization, so that a stem of one channel is exact."""
        return len(self.mean) == 1


BACKBONES = {
    "lite0": BackboneSpec(1.0, 1.0, "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"),
    "lite1": BackboneSpec(1.0, 1.1, "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850"),
    "lite2": BackboneSpec(1.1, 1.2, "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"),
    "b0": BackboneSpec(1.0, 1.0, None, (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
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
        self.expands, self.excites = expansion != 1, not lite
        if self.expands:
            self._expand_conv = nn.Conv2d(inputs, inner, 1, bias=False)
            self._bn0 = _norm(inner)
        self._depthwise_conv = SameConv(inner, inner, kernel, stride, groups=inner)
        self._bn1 = _norm(inner)
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

    def __init__(self, spec: BackboneSpec) -> None:
        super().__init__()
        self.mean = nn.Buffer(torch.tensor(spec.mean).view(1, -1, 1, 1), persistent=False)
        self.std = nn.Buffer(torch.tensor(spec.std).view(1, -1, 1, 1), persistent=False)
        self.activation = nn.ReLU6(inplace=True) if spec.lite else nn.SiLU(inplace=True)
        self._conv_stem = SameConv(len(spec.mean), _STEM_CHANNELS, 3, 2)
        self._bn0 = _norm(_STEM_CHANNELS)
        self._blocks = nn.ModuleList()
        ends, stage_channels, inputs = [], [], _STEM_CHANNELS
        for stage, (kernel, stride, expansion, channels, repeats) in enumerate(_STAGES):
            outputs = _scale_channels(channels, spec.width)
            # Lite does not scale the depth of the first and the last stage.
            scaled = not spec.lite or stage not in (0, len(_STAGES) - 1)
            for repeat in range(math.ceil(repeats * spec.depth) if scaled else repeats):
                step = stride if repeat == 0 else 1
                self._blocks.append(InvertedResidual(inputs, outputs, kernel, step, expansion, spec.lite))
                inputs = outputs
            ends.append(len(self._blocks) - 1)
            stage_channels.append(outputs)
        self._stage_ends, self.stage_channels = ends[3:6], stage_channels[3:6]  # of stages four to six
        self._conv_head = nn.Conv2d(inputs, self.channels, 1, bias=False)
        self._bn1 = _norm(self.channels)

    @property
    def blocks(self) -> list[nn.Module]:
        """Return the inverted residual blocks, in order."""
        return list(self._blocks)

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


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


def _scale_channels(channels: int, width: float) -> int:
    """Scale a channel count by `width` to the nearest multiple of 8, at most 10 % down (`make_divisible`)."""
    scaled = channels * width
    rounded = max(8, int(scaled + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * scaled else rounded
