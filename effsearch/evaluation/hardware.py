"""GPUs and how they fail, signals to processes, freed memory, and a watchdog for hangs. Needs no torch."""

import ctypes
import faulthandler
import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from effsearch.errors import QuantityError

# Parts of torch's error messages: its exceptions are plain RuntimeErrors in some releases.
MEMORY = re.compile("CUDA (error: )?out of memory|(CUBLAS|CUDNN)_STATUS_ALLOC_FAILED|ALLOCATION_FAILED|allocate memory")
CONTEXT = re.compile("CUDA (driver )?error|CUBLAS_STATUS_|CUDNN_STATUS_(EXECUTION_FAILED|INTERNAL_ERROR)")


@dataclass(frozen=True)
class Gpu:
    """A GPU by its name, with free memory in bytes, and whether it computes in bf16."""

    name: str
    free: int
    bf16: bool

    @property
    def precision(self) -> str:
        return "bf16" if self.bf16 else "float32"


class ContextLost(Exception):
    """A CUDA error other than out-of-memory: every further call in this process fails too, whatever it trains."""


def out_of_memory(error: BaseException) -> bool:
    """Whether a training ran out of memory, of the host or of a GPU."""
    known = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    return known or MEMORY.search(str(error)) is not None


@contextmanager
def enough_memory(resolution: int) -> Iterator[None]:
    """Within it, running out of memory raises QuantityError, which says at what resolution (px)."""
    try:
        yield
    except Exception as error:
        if not out_of_memory(error):
            raise
        raise QuantityError(
            f"out of memory at {resolution} px ({first_line(error)}); give a smaller --resolution"
        ) from None


def loses_context(error: BaseException) -> bool:
    """Whether a process can no longer use its GPU after an error."""
    return isinstance(error, RuntimeError) and not out_of_memory(error) and CONTEXT.search(str(error)) is not None


def first_line(error: BaseException) -> str:
    """The first line of an error's message, without the hints that torch adds."""
    return str(error).strip().partition("\n")[0] or type(error).__name__


def send(processes: Iterable[int], what: int) -> None:
    """Sends a signal to each of the processes that still exists."""
    for process in processes:
        with suppress(ProcessLookupError):
            os.kill(process, what)


_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # parameters of glibc's mallopt


def keep_freed_memory() -> None:
    """Lets this process keep the memory that it frees, where it uses glibc.

    The next step of a training allocates as much again: page faults would take a tenth or more of a step at 64 px.
    """
    if (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)) is not None:
        mallopt(_TRIM_THRESHOLD, 2**31 - 1)
        mallopt(_MMAP_MAX, 0)


MINUTES = 30  # minutes without a step after which a training is taken to hang


@contextmanager
def watchdog(seconds: float = 60.0 * MINUTES) -> Iterator[Callable[[int, int], None]]:
    """Gives a function that must be called every `seconds`, or the process prints its stacks to stderr and exits.

    The timer is a thread in C, so that it also ends a hang in native code that holds the interpreter.
    """

    def beat(step: int, steps: int) -> None:
        faulthandler.dump_traceback_later(seconds, exit=True)

    beat(0, 0)
    try:
        yield beat
    finally:
        faulthandler.cancel_dump_traceback_later()
