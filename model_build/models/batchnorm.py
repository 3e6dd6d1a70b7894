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
        mean, variance = bn.get_buffer("running_mean"), bn.get_buffer("running_var")
        scale = bn.weight / (variance + bn.eps).sqrt()
        weight.mul_(scale[:, None, None, None])
        bn.bias.copy_(bn.bias - mean * scale)
        bn.weight.fill_(1)
        mean.zero_()
        variance.fill_(1 - bn.eps)


def is_folded(backbone: Backbone) -> bool:
    """Return whether the BatchNorms of a backbone are folded into its convolutions."""
    norms = [each for each in backbone.modules() if isinstance(each, nn.BatchNorm2d)]
    return not any(norm.get_buffer("running_mean").any() for norm in norms)
