"""What a GPU is and how it fails, signals to processes, freed memory, and a watchdog for hangs. Needs no torch."""

import ctypes
import faulthandler
import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType

MEMORY = (
    "CUDA out of memory",
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "ALLOCATION_FAILED",
    "allocate memory",
)
CONTEXT = (
    "CUDA error",
    "CUDA driver error",
    "CUBLAS_STATUS_",
    "CUDNN_STATUS_EXECUTION_FAILED",
    "CUDNN_STATUS_INTERNAL_ERROR",
)
"""In what torch says, and nowhere else: its exceptions are plain RuntimeErrors in some releases."""


@dataclass(frozen=True)
class Gpu:
    """A GPU by its name, with free memory in bytes, and whether it computes in bf16."""

    name: str
    free: int
    bf16: bool

    @property
    def precision(self) -> str:
        """What networks are trained in."""
        return "bf16" if self.bf16 else "float32"


class ContextLost(Exception):
    """A CUDA error other than out-of-memory: every further call in this process fails too, whatever it trains."""


def out_of_memory(error: BaseException) -> bool:
    """Whether a training failed for want of memory, of the host or of a GPU."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return any(part in str(error) for part in MEMORY)


def loses_context(error: BaseException) -> bool:
    """Whether an error is one after which a process can no longer use its GPU."""
    return isinstance(error, RuntimeError) and not out_of_memory(error) and any(part in str(error) for part in CONTEXT)


def first_line(error: BaseException) -> str:
    """What an error says, without the hints that torch adds."""
    return str(error).strip().partition("\n")[0] or type(error).__name__


def send(processes: Iterable[int], what: int) -> None:
    """Sends a signal to each of the processes that is there."""
    for process in processes:
        with suppress(ProcessLookupError):
            os.kill(process, what)


_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
"""Of glibc's mallopt."""


def keep_freed_memory() -> None:
    """Lets this process keep what it frees, since the next step of a training asks for as much again.

    Memory that is given back to the system has to be had anew page by page, which takes a tenth or more of a step at
    64 px. Only glibc can be told; elsewhere nothing is done.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_TRIM_THRESHOLD, 2**31 - 1)
        mallopt(_MMAP_MAX, 0)


MINUTES = 30
"""Without a step after which a training is taken to hang."""


class Watchdog:
    """Within it, `beat` must be called again and again; else the process prints its stacks to stderr and exits.

    The clock runs in a thread of C, so that a hang in native code that holds the interpreter is ended too.
    """

    def __init__(self, seconds: float = 60.0 * MINUTES) -> None:
        self.seconds = seconds

    def beat(self, step: int = 0, steps: int = 0) -> None:
        """Says that the training goes on."""
        faulthandler.dump_traceback_later(self.seconds, exit=True)

    def __enter__(self) -> "Watchdog":
        self.beat()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        faulthandler.cancel_dump_traceback_later()
