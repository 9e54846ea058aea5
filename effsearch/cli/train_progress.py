"""A training as it runs: a live line in a terminal, a line an epoch elsewhere."""

import time
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.text import Text

from effsearch.cli.live import LiveDisplay
from effsearch.text import format_duration
from effsearch.training import Epoch


class TrainProgress(LiveDisplay):
    """Shows steps and epochs; a context, since a live line must be taken down."""

    def __init__(self, console: Console, epochs: int, images: int, writer: Any = None) -> None:
        super().__init__(console)
        self.epochs, self.images, self.writer = epochs, images, writer
        self.history: list[Epoch] = []
        self.began, self.first = time.monotonic(), 0

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        if self.writer is not None:
            self.writer.close()

    def begin(self, history: list[Epoch]) -> None:
        """The training begins, or begins again, after these epochs."""
        self.history, self.first = list(history), 0

    def step(self, step: int, steps: int) -> None:
        """Some steps are done, of all that the whole training has."""
        if self.live is None:
            return
        if not self.first:
            self.began, self.first = time.monotonic(), step
            return
        pace = (time.monotonic() - self.began) / max(1, step - self.first)
        rate = self.images * self.epochs / steps / pace if pace else 0.0
        last = f", validation {100 * (self.history[-1].accuracy or 0):.1f} %" if self.history else ""
        text = (
            f"epoch {step * self.epochs // steps + 1}/{self.epochs}, {rate:,.0f} images/s, about "
            f"{format_duration((steps - step) * pace)} left{last}"
        )
        self.live.update(Text(text, style="bold", no_wrap=True, overflow="ellipsis"), refresh=True)

    def epoch(self, epoch: Epoch) -> None:
        """An epoch is done."""
        self.history.append(epoch)
        if self.writer is not None:
            self.writer.add_scalar("loss/train", epoch.loss, epoch.epoch)
            self.writer.add_scalar("accuracy/validation", epoch.accuracy, epoch.epoch)
        accuracy = 100 * (epoch.accuracy or 0)
        self.console.print(
            f"epoch {epoch.epoch:3}/{self.epochs}: loss {epoch.loss:.4f}, validation {accuracy:5.1f} %, "
            f"{self.images / max(epoch.seconds, 1e-9):,.0f} images/s, {format_duration(epoch.seconds)}"
        )
