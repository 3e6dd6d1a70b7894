"""Run a network over many inputs, batch by batch."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

_BATCH_SIZE = 32


def predict(model: nn.Module, inputs: Tensor, device: str = "cpu") -> Tensor:
    """Return logits float32 [N, K], on the CPU, of inputs uint8 [N, 1, S, S]; leaves the model in evaluation mode."""
    (logits,) = in_batches(model, lambda frames: (model(frames),), inputs, device)
    return logits


@torch.inference_mode()
def in_batches(
    model: nn.Module, compute: Callable[[Tensor], tuple[Tensor, ...]], inputs: Tensor, device: str = "cpu"
) -> tuple[Tensor, ...]:
    """Return the outputs of `compute` over inputs uint8 [N, 1, S, S], concatenated, float32 on the CPU.

    `compute` takes gray levels float32 [n, 1, S, S] and uses `model`, which is put into evaluation mode.
    """
    model.eval()
    outputs = []
    for batch in torch.split(inputs, _BATCH_SIZE):
        frames = batch.to(device, torch.float32, memory_format=torch.channels_last)  # twice as fast
        outputs.append([output.float().cpu() for output in compute(frames)])
    return tuple(torch.cat(output) for output in zip(*outputs, strict=True))
