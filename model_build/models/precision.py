"""Mixed precision: bfloat16 where the hardware computes it faster than float32."""

import torch


def autocast(device: str) -> torch.autocast:
    """Return a context that computes in bfloat16 where the hardware does, else in float32: emulation is slower."""
    supported = torch.cuda.is_bf16_supported if device.startswith("cuda") else torch.cpu._is_amx_tile_supported
    return torch.autocast(device.partition(":")[0], torch.bfloat16, enabled=bool(supported()))
