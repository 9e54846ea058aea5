"""What is given to the workers of a cluster, which import it by its name."""

import os
import signal
import time
from pathlib import Path


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
