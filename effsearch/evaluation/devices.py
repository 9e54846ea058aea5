"""Which accelerators there are."""

import platform
import re
from pathlib import Path

import torch

_CPUS = Path("/proc/cpuinfo")


def gpus() -> int:
    """The CUDA devices that torch can use."""
    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def gpu_name() -> str:
    """Of the first."""
    return torch.cuda.get_device_name(0)


def cpu_name() -> str:
    """The processor as Linux names it, or its architecture."""
    try:
        text = _CPUS.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        text = ""
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return found[1].strip() if found else f"CPU, {platform.machine()}"
