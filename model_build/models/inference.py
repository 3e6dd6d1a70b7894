"""What a network computes of many views, a batch at a time."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

_BATCH = 32


def predict(model: nn.Module, views: Tensor, device: str = "cpu") -> Tensor:
    """Logits float32 [N, K] of views uint8 [N, 1, S, S], on the CPU. Leaves the model in evaluation mode."""
    (logits,) = in_batches(model, lambda frames: (model(frames),), views, device)
    return logits


@torch.inference_mode()
def in_batches(
    model: nn.Module, compute: Callable[[Tensor], tuple[Tensor, ...]], views: Tensor, device: str = "cpu"
) -> tuple[Tensor, ...]:
    """Each of what `compute` gives of gray levels float32 [n, 1, S, S], over all views uint8 [N, 1, S, S], on the CPU.

    Leaves the model, by which it computes, in evaluation mode.
    """
    model.eval()
    parts = [
        [
            part.float().cpu()
            for part in compute(batch.to(device, torch.float32, memory_format=torch.channels_last))  # twice as fast
        ]
        for batch in torch.split(views, _BATCH)
    ]
    return tuple(torch.cat(each) for each in zip(*parts, strict=True))
