"""Logits of many views."""

import torch
from torch import Tensor, nn


@torch.inference_mode()
def predict(model: nn.Module, views: Tensor, device: str = "cpu", batch: int = 32) -> Tensor:
    """Logits float32 [N, K] of views uint8 [N, 1, S, S], on the CPU. Leaves the model in evaluation mode."""
    model.eval()
    parts = [
        model(part.to(device, torch.float32, memory_format=torch.channels_last)).float().cpu()
        for part in torch.split(views, batch)
    ]
    return torch.cat(parts)
