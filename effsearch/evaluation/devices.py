"""Which accelerators there are."""

import torch


def gpus() -> int:
    """The CUDA devices that torch can use."""
    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def gpu_name() -> str:
    """Of the first."""
    return torch.cuda.get_device_name(0)
