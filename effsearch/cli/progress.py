"""A search as it runs: a live table in a terminal, a line for each training elsewhere."""

from collections import Counter
from statistics import median
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from effsearch.quantities import format_count, format_duration
from effsearch.report.grid import NOTATION_FROM, Grid
from effsearch.report.tables import ranking_grid
from effsearch.runs.ranking import ranking
from effsearch.runs.records import Record
from effsearch.search.nas import Status
from effsearch.search.settings import Limits, NasSettings

BEST = 5


class Progress:
    """Shows each status of a search; a context, since a live table must be taken down."""

    def __init__(self, console: Console, settings: NasSettings, limits: Limits, workers: int) -> None:
        self.console, self.settings, self.limits, self.workers = console, settings, limits, workers
        self.best: Grid | None = None
        self.live = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None

    def __enter__(self) -> "Progress":
        if self.live is not None:
            self.live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.live is not None:
            self.live.stop()

    def update(self, status: Status) -> None:
        """Draws the live table anew, or prints the training that has just ended."""
        if self.live is not None:
            self.live.update(self._live(status), refresh=True)
        elif status.ended is not None:
            self.console.print(self._line(status, status.ended))

    def _live(self, status: Status) -> RenderableType:
        if status.ended is not None or self.best is None:
            rows = [row for row in ranking(status.records, self.settings.score) if row.rank is not None]
            self.best = ranking_grid(rows[:BEST], self.console.width >= NOTATION_FROM)
        head = Text(self._summary(status), style="bold", no_wrap=True, overflow="ellipsis")
        return Group(head, self.best.rich("best so far")) if self.best.cells else head

    def _summary(self, status: Status) -> str:
        states = Counter(record.state for record in status.records)
        parts = [f"{self._architectures(status.records)}/{self.limits.trials} architectures"]
        parts += [f"{states[state]} {state}" for state in ("running", "queued", "failed") if states[state]]
        parts.append(format_duration(status.seconds))
        left = self._seconds_left(status)
        return ", ".join(parts) + (f", about {format_duration(left)} left" if left is not None else "")

    def _architectures(self, records: list[Record]) -> int:
        return len({record.candidate.key for record in records if record.state == "complete"})

    def _seconds_left(self, status: Status) -> float | None:
        """Trainings that are still to come, at the median of those seen, shared by the workers."""
        times = [record.seconds for record in status.records if record.seconds is not None]
        if not times:
            return None
        architectures = max(0, self.limits.trials - self._architectures(status.records))
        planned = (self.settings.finalists + 1) * (self.settings.repeats - 1)
        repeats = sum(
            record.state == "complete" and record.candidate.seed != self.settings.seed for record in status.records
        )
        left = (architectures + max(0, planned - repeats)) * median(times) / self.workers
        return left if self.limits.seconds is None else min(left, max(0.0, self.limits.seconds - status.seconds))

    def _line(self, status: Status, ended: Record) -> str:
        candidate = ended.candidate
        cost = f"{format_count(candidate.flops)} FLOPs"
        if ended.accuracy is None or ended.reward is None:
            what = f"{ended.state}: {ended.reason}"
        else:
            what = f"acc {100 * ended.accuracy:.1f} %, reward {ended.reward:.4f}, {ended.seconds:.0f} s"
        return (
            f"[{format_duration(status.seconds)}] {self._architectures(status.records)}/{self.limits.trials} "
            f"{candidate.key} ({candidate.source}, seed {candidate.seed}) {cost}: {what}"
        )
