"""Grad-CAM as a graph without autograd, so that ONNX Runtime can compute it.

Selvaraju et al., Grad-CAM (ICCV 2017, arXiv 1610.02391), equations 1 and 2: the weight of a channel is the mean of the
target logit's gradient over the map, the heat map is the ReLU of the weighted sum of channels.

The gradient is taken of the head alone. `torch.func.vjp` of it is traced to plain tensor operations, which export as
any forward pass does.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch._decomp import core_aten_decompositions
from torch.func import functional_call, vjp
from torch.fx.experimental.proxy_tensor import make_fx

from model_build.models.classifier import Head


def grad_cam(features: Tensor, gradient: Tensor) -> Tensor:
    """Heat maps float32 [N, h, w], not rescaled, from features and the target logit's gradient, both [N, C, h, w]."""
    weights = gradient.mean((2, 3), keepdim=True)
    return torch.relu((weights * features).sum(1))


def traced_explainer(head: Head, features: Tensor, target: Tensor) -> nn.Module:
    """Trace Grad-CAM of `head` into a module of plain operations.

    Parameters
    ----------
    head
        In evaluation mode.
    features, target
        Example inputs, float32 [N, C, h, w] and one-hot [N, K], with N of at least 2 so that it is traced as free.

    Returns
    -------
    A module that takes `features` and `target` of any N and gives heat maps float32 [N, h, w].
    """
    parameters = {name: value.detach() for name, value in head.named_parameters()}

    def explain(features: Tensor, target: Tensor) -> Tensor:
        pull_back = vjp(lambda x: functional_call(head, parameters, (x,)), features)[1]
        return grad_cam(features, pull_back(target)[0])

    decompositions = {**core_aten_decompositions(), torch.ops.aten.convolution_backward.default: _convolution_backward}
    trace = make_fx(explain, decomposition_table=decompositions, tracing_mode="symbolic", _allow_non_fake_inputs=True)
    return trace(features, target)


def _convolution_backward(
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
    """The gradient with respect to a convolution's input, as a transposed convolution; weights are not asked for."""
    if transposed or any(output_mask[1:]):
        raise ValueError("only the gradient of a plain convolution's input can be traced")
    backward: Callable[..., Tensor] = (
        nn.functional.conv_transpose1d if len(stride) == 1 else nn.functional.conv_transpose2d
    )
    padding_after = [0] * len(stride)
    return backward(gradient, weight, None, stride, padding, padding_after, groups, dilation), None, None
