"""The optimizer and the learning-rate schedule."""

import math

import torch
from torch.optim.lr_scheduler import LambdaLR

from model_build.models.multi_task import MultiTaskNetwork
from model_build.recipe import Training


def make_optimizer(
    network: MultiTaskNetwork, settings: Training, steps_per_epoch: int
) -> tuple[torch.optim.AdamW, LambdaLR]:
    """Return AdamW and its schedule; the pretrained backbone has a learning rate of its own, frozen weights none."""
    backbone = [p for p in network.classifier.backbone.parameters() if p.requires_grad]
    heads = [p for name, p in network.named_parameters() if not name.startswith("classifier.backbone.")]
    groups = [{"params": backbone, "lr": settings.backbone_lr}, {"params": heads, "lr": settings.head_lr}]
    optimizer = torch.optim.AdamW(groups, weight_decay=settings.weight_decay)
    steps = steps_per_epoch * settings.epochs
    return optimizer, LambdaLR(optimizer, lambda step: cosine_with_warmup(step, steps, settings.warmup_fraction))


def cosine_with_warmup(step: int, steps: int, warmup_fraction: float) -> float:
    """Return the fraction of the peak learning rate: a linear warmup, then a half cosine to zero (arXiv 1608.03983)."""
    warmup = max(1, round(steps * warmup_fraction))
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warmup) / max(1, steps - warmup))))
