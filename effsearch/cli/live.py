"""A live display that is taken down however its context ends."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live


class LiveDisplay:
    """Has a live display where the console is a terminal, and none elsewhere."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.live = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None

    def __enter__(self) -> Self:
        if self.live is not None:
            self.live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.live is not None:
            self.live.stop()
