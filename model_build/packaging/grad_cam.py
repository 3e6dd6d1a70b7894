"""Grad-CAM as a graph without autograd, so that ONNX Runtime can compute it.

Source: Selvaraju et al., Grad-CAM (ICCV 2017, arXiv 1610.02391), equations 1 and 2. The weight of a channel is the mean
of the target logit's gradient over the feature map. The heat map is the ReLU of the weighted sum of channels.

The gradient needs only the head. `torch.func.vjp` of the head is traced to plain tensor operations, which export like a
forward pass.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch._decomp import core_aten_decompositions
from torch.func import functional_call, vjp
from torch.fx.experimental.proxy_tensor import make_fx

from model_build.models.classifier import Head


def traced_explainer(head: Head, features: Tensor, target: Tensor) -> nn.Module:
    """Return Grad-CAM of `head` as a module of plain tensor operations: features and target to heat maps [N, h, w].

    The head must be in evaluation mode. The tensors are examples, float32 [N, C, h, w] and one-hot [N, K], with N of at
    least 2: the tracer fixes sizes of 1.
    """
    parameters = {name: value.detach() for name, value in head.named_parameters()}

    def explain(features: Tensor, target: Tensor) -> Tensor:
        pull_back = vjp(lambda x: functional_call(head, parameters, (x,)), features)[1]
        weights = pull_back(target)[0].mean((2, 3), keepdim=True)
        return torch.relu((weights * features).sum(1))

    # Core decompositions leave `convolution_backward`, which ONNX does not have.
    decompositions = {**core_aten_decompositions(), torch.ops.aten.convolution_backward.default: _convolution_backward}
    trace = make_fx(explain, decomposition_table=decompositions, tracing_mode="symbolic", _allow_non_fake_inputs=True)
    return trace(features, target)


def _convolution_backward(  # noqa: PLR0913
    gradient: Tensor,
    inputs: Tensor,
    weight: Tensor,
    bias_sizes: list[int] | None,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    transposed: bool,
    output_padding: list[int],
    groups: int,
    output_mask: list[bool],
) -> tuple[Tensor | None, None, None]:
    """Return the gradient of a convolution with respect to its input, as a transposed convolution.

    The signature is that of `aten::convolution_backward`.
    """
    if transposed or any(output_mask[1:]):
        raise ValueError("only the gradient of a plain convolution's input can be traced")
    backward: Callable[..., Tensor] = (
        nn.functional.conv_transpose1d if len(stride) == 1 else nn.functional.conv_transpose2d
    )
    padding_after = [0] * len(stride)
    return backward(gradient, weight, None, stride, padding, padding_after, groups, dilation), None, None
