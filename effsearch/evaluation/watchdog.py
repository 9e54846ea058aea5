"""Ends a worker whose training makes no step any more, whatever holds it."""

import faulthandler
from types import TracebackType

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
