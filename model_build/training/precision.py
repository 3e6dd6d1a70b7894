"""Mixed precision: bfloat16 where the hardware computes it faster than float32."""

import torch


def has_fast_bfloat16(device: str) -> bool:
    """Return whether the device computes bfloat16 in hardware; emulation is slower than float32."""
    supported = torch.cuda.is_bf16_supported if device.startswith("cuda") else torch.cpu._is_amx_tile_supported
    return bool(supported())


def autocast(device: str) -> torch.autocast:
    """Return a context that computes in bfloat16 where that is fast, else in float32."""
    return torch.autocast(device.partition(":")[0], torch.bfloat16, enabled=has_fast_bfloat16(device))
