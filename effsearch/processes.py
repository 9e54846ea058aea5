"""Signals to processes that may be gone."""

import os
from collections.abc import Iterable
from contextlib import suppress


def send(processes: Iterable[int], what: int) -> None:
    """Sends a signal to each of the processes that is there."""
    for process in processes:
        with suppress(ProcessLookupError):
            os.kill(process, what)
