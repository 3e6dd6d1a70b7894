"""Fold the BatchNorms of a backbone into its convolutions."""

import torch
from torch import nn

from model_build.models.efficientnet import Backbone


def norm_pairs(backbone: Backbone) -> list[tuple[nn.Module, str, str]]:
    """Return each convolution and the BatchNorm after it, as their owner module and their names in it."""
    pairs: list[tuple[nn.Module, str, str]] = [(backbone, "_conv_stem", "_bn0"), (backbone, "_conv_head", "_bn1")]
    for block in backbone.blocks:
        pairs += [(block, "_depthwise_conv", "_bn1"), (block, "_project_conv", "_bn2")]
        if hasattr(block, "_expand_conv"):
            pairs.append((block, "_expand_conv", "_bn0"))
    return pairs


@torch.no_grad()
def fold_batchnorm(backbone: Backbone) -> None:
    """Move the scale of each BatchNorm into its convolution, in place; the BatchNorm only adds a bias afterwards.

    The output in evaluation mode does not change. The statistics are gone: do not train the backbone afterwards.
    """
    for owner, convolution, norm in norm_pairs(backbone):
        weight, bn = owner.get_parameter(f"{convolution}.weight"), owner.get_submodule(norm)
        assert isinstance(bn, nn.BatchNorm2d)
        assert bn.running_mean is not None
        assert bn.running_var is not None
        scale = bn.weight / (bn.running_var + bn.eps).sqrt()
        weight.mul_(scale[:, None, None, None])
        set_bias(bn, bn.bias - bn.running_mean * scale)


@torch.no_grad()
def set_bias(norm: nn.BatchNorm2d, bias: torch.Tensor) -> None:
    """Make a BatchNorm add `bias` [C] in evaluation mode, and do nothing else."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    norm.bias.copy_(bias)
    norm.weight.fill_(1)
    norm.running_mean.zero_()
    norm.running_var.fill_(1 - norm.eps)
