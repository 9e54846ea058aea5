"""In what numbers a device computes."""

from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache

import torch


def precision(device: torch.device) -> AbstractContextManager[object]:
    """The precision of a device: bf16 autocast on a GPU that has it, else float32."""
    # On a CPU bf16 trains slower than float32: the backward pass of depthwise convolutions has no fast bf16 kernel.
    return torch.autocast("cuda", torch.bfloat16) if has_bf16(device) else nullcontext()


@lru_cache(maxsize=16)
def has_bf16(device: torch.device) -> bool:
    """Whether a device is a GPU with bf16 units; older ones, such as a T4, emulate it many times slower."""
    return device.type == "cuda" and bool(torch.cuda.is_bf16_supported(including_emulation=False))
