"""Signals to processes that may be gone, and memory that a process keeps."""

import ctypes
import os
from collections.abc import Iterable
from contextlib import suppress


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
