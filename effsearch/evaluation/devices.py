"""The processors of this machine, and the memory of its GPUs."""

import platform
import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from effsearch.errors import ExecutorError, QuantityError
from effsearch.evaluation.hardware import ContextLost, Gpu, first_line, loses_context
from effsearch.training.precision import has_bf16

_CPUS = Path("/proc/cpuinfo")


def gpus() -> int:
    """The CUDA devices that torch can use."""
    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def choose_device(asked: str | None) -> str:
    """The device that is asked for, or cuda where there is a GPU; raises QuantityError."""
    if asked not in (None, "cpu", "cuda"):
        raise QuantityError(f"--device must be cpu or cuda, got {asked!r}")
    if asked == "cuda" and not gpus():
        raise QuantityError("--device cuda was asked for, and torch finds no CUDA device; leave it out for the CPU")
    return asked or ("cuda" if gpus() else "cpu")


def survey() -> list[Gpu]:
    """All GPUs; for a process that then ends, since asking takes some of a GPU's memory."""
    found = []
    for number in range(gpus()):
        with torch.cuda.device(number):
            free, _ = torch.cuda.mem_get_info()
            found.append(Gpu(torch.cuda.get_device_name(), free, has_bf16(torch.device("cuda", number))))
    return found


def check_device(device: str) -> None:
    """Raises ExecutorError if a training needs a GPU and torch finds none."""
    if device == "cuda" and not gpus():
        built = f"built for CUDA {torch.version.cuda}" if torch.version.cuda else "a build for CPUs"
        raise ExecutorError(
            f"torch {torch.__version__} on {platform.node()} finds no GPU (it is {built}); install a CUDA build "
            "of torch and a driver there, or train on CPUs"
        )


@contextmanager
def given_back(device: str) -> Iterator[None]:
    """Around one call that trains: frees its memory on a GPU for the next training, however it ends.

    It must be one call, since the traceback of an error holds the tensors of its frames, and only frames that have
    returned can be cleared. Raises ContextLost where no later training in this process can work.
    """
    try:
        try:
            yield
        except Exception as error:
            if not loses_context(error):
                traceback.clear_frames(error.__traceback__)
                _empty_cache(device)
            raise
        _empty_cache(device)
    except Exception as error:
        if loses_context(error):
            raise ContextLost(first_line(error)) from error
        raise


def _empty_cache(device: str) -> None:
    if device == "cuda":
        torch.cuda.empty_cache()


def cpu_name() -> str:
    """The model name of the processor, where Linux tells it, or its architecture."""
    try:
        text = _CPUS.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        text = ""
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return found[1].strip() if found else f"CPU, {platform.machine()}"
