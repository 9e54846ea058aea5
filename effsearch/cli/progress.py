"""A search as it runs: a live table in a terminal, a line for each training elsewhere."""

from collections import Counter

from rich.console import Console, Group, RenderableType
from rich.text import Text

from effsearch.cli.live import LiveDisplay
from effsearch.report.ranking_table import ranking_grid
from effsearch.report.text_table import NOTATION_FROM, Grid
from effsearch.reward import Reward
from effsearch.runs.ranking import ranking
from effsearch.runs.records import Record
from effsearch.search.driver import Status
from effsearch.text import format_count, format_duration, format_latency

BEST = 5


class Progress(LiveDisplay):
    """Shows each status of a search; a context, since a live table must be taken down.

    `seconds` is the time limit of the call, which may end before the search does.
    """

    def __init__(self, console: Console, score: Reward, seconds: float | None) -> None:
        super().__init__(console)
        self.score, self.seconds = score, seconds
        self.best: Grid | None = None

    def update(self, status: Status) -> None:
        """Draws the live table anew, or prints the training that has just ended."""
        if self.live is not None:
            self.live.update(self._live(status), refresh=True)
        elif status.ended is not None:
            self.console.print(_line(status, status.ended))

    def _live(self, status: Status) -> RenderableType:
        if status.ended is not None or self.best is None:
            rows = [row for row in ranking(status.records, self.score) if row.rank is not None]
            wide = self.console.width >= NOTATION_FROM
            self.best = ranking_grid(rows[:BEST], wide, measure=self.score.measure)
        head = Text(self._summary(status), style="bold", no_wrap=True, overflow="ellipsis")
        return Group(head, self.best.rich("best so far")) if self.best.cells else head

    def _summary(self, status: Status) -> str:
        states = Counter(record.state for record in status.records)
        parts = [status.outlook.text]
        parts += [f"{states[state]} {state}" for state in ("running", "queued", "failed") if states[state]]
        parts.append(format_duration(status.seconds))
        left = status.outlook.seconds_left
        if left is not None and self.seconds is not None:
            left = min(left, max(0.0, self.seconds - status.seconds))
        return ", ".join(parts) + (f", about {format_duration(left)} left" if left is not None else "")


def _line(status: Status, ended: Record) -> str:
    candidate = ended.candidate
    cost = f"{format_count(candidate.flops)} FLOPs"
    cost += "" if candidate.latency is None else f", {format_latency(candidate.latency)}"
    if ended.accuracy is None or ended.reward is None:
        what = f"{ended.state}: {ended.reason}"
    else:
        epochs = f" at epoch {ended.epochs}" if candidate.epochs is not None else ""
        what = f"acc {100 * ended.accuracy:.1f} %{epochs}, reward {ended.reward:.4f}, {ended.seconds:.0f} s"
    return (
        f"[{format_duration(status.seconds)}] {status.outlook.text} "
        f"{candidate.key} ({candidate.source}, seed {candidate.seed}) {cost}: {what}"
    )
