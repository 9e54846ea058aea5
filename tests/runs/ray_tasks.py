"""What is given to the workers of a cluster, which import it by its name."""

import os
import signal
import time
from pathlib import Path

from effsearch.evaluation.hardware import ContextLost


def square(number: int) -> int:
    return number * number


def fail() -> None:
    raise ValueError("no such thing")


def sleep() -> None:
    time.sleep(60)


def die(mark: Path) -> str:
    """Kills its worker the first time."""
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return "alive"


def lose(mark: Path) -> int:
    """Says the first time that its GPU can no longer be used, and then which process it is."""
    if not mark.exists():
        mark.write_text(str(os.getpid()))
        raise ContextLost("CUDA error: an illegal memory access was encountered")
    return os.getpid()
