"""A run in a terminal: how it goes, how it may be stopped, and what it found."""

import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TypeVar

import typer
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from effsearch.engine.driver import Status
from effsearch.engine.problem import Problem
from effsearch.reports.coefficients import grow_command, print_coefficients
from effsearch.reports.growth_curves import print_curves
from effsearch.reports.ranking_table import print_ranking, ranking_table
from effsearch.reports.text_table import NOTATION_FROM, TextTable, console
from effsearch.reports.trainings import print_training
from effsearch.reward import Reward
from effsearch.runs.ranking import ranking
from effsearch.runs.records import Record
from effsearch.runs.settings import GridSettings
from effsearch.text import format_count, format_duration, format_latency
from effsearch.training import Epoch
from effsearch.workflows.common import EpochListener, Listener, Outcome
from effsearch.workflows.request import Request, TrainRequest

R = TypeVar("R", bound=Request)
SHOWN, SHOWN_OF_TABLE = 20, 10  # rows of the ranking at the end
BEST = 5  # rows of the live table


class StopRequest:
    """Within it, the first SIGINT or SIGTERM only makes it true; a second one interrupts at once."""

    def __init__(self) -> None:
        self.asked = False

    def __call__(self) -> bool:
        return self.asked

    def __enter__(self) -> "StopRequest":
        self._before = {which: signal.signal(which, self._ask) for which in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: object) -> None:
        for which, handler in self._before.items():
            signal.signal(which, handler)

    def _ask(self, which: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True


class TerminalListener(Listener):
    """Prints what it is told: a live table or line in a terminal, a line for each training or epoch elsewhere.

    While it shows a search or a training, signals wait for the next step: `stop` is then true.
    """

    def __init__(self, out: Console, stop: StopRequest) -> None:
        self.out, self.stop = out, stop

    def note(self, line: str, style: str = "") -> None:
        self.out.print(line, style=style)

    def table(self, table: TextTable, title: str) -> None:
        self.out.print(table.rich(title))

    @contextmanager
    def busy(self, what: str) -> Iterator[Callable[[str], None]]:
        with self.out.status(what) as status:
            yield status.update

    @contextmanager
    def search(self, problem: Problem, seconds: float | None) -> Iterator[Callable[[Status], None]]:
        with self.stop, _live(self.out) as live:
            yield _SearchDisplay(self.out, live, problem.score, seconds)

    @contextmanager
    def training(self, epochs: int, images: int) -> Iterator[EpochListener]:
        with self.stop, _live(self.out) as live:
            yield _TrainingDisplay(self.out, live, epochs, images)


@contextmanager
def _live(out: Console) -> Iterator[Live | None]:
    """A live display where the console is a terminal, taken down however its context ends."""
    if not out.is_terminal:
        yield None
        return
    with Live(console=out, auto_refresh=False, transient=True) as live:
        yield live


class _SearchDisplay:
    """Shows each status of a search; its time limit, `seconds`, may end before the search does."""

    def __init__(self, out: Console, live: Live | None, score: Reward, seconds: float | None) -> None:
        self.out, self.live, self.score, self.seconds = out, live, score, seconds
        self.best: TextTable | None = None

    def __call__(self, status: Status) -> None:
        """Draws the live table anew, or prints the training that has just ended."""
        if self.live is not None:
            self.live.update(self._table(status), refresh=True)
        elif status.ended is not None:
            self.out.print(_ended_line(status, status.ended))

    def _table(self, status: Status) -> RenderableType:
        if status.ended is not None or self.best is None:
            rows = [row for row in ranking(status.records, self.score) if row.rank is not None]
            self.best = ranking_table(rows[:BEST], self.out.width >= NOTATION_FROM, measure=self.score.measure)
        head = Text(self._summary(status), style="bold", no_wrap=True, overflow="ellipsis")
        return Group(head, self.best.rich("best so far")) if self.best.cells else head

    def _summary(self, status: Status) -> str:
        states = Counter(record.state for record in status.records)
        parts = [status.outlook.text]
        parts += [f"{states[state]} {state}" for state in ("running", "queued", "failed") if states[state]]
        parts.append(format_duration(status.seconds))
        if (left := status.outlook.seconds_left) is not None:
            left = left if self.seconds is None else min(left, max(0.0, self.seconds - status.seconds))
            parts.append(f"about {format_duration(left)} left")
        return ", ".join(parts)


def _ended_line(status: Status, ended: Record) -> str:
    candidate = ended.candidate
    latency = "" if candidate.latency is None else f", {format_latency(candidate.latency)}"
    if ended.accuracy is None or ended.reward is None:
        what = f"{ended.state}: {ended.reason}"
    else:
        epochs = f" at epoch {ended.epochs}" if candidate.epochs is not None else ""
        reward = "" if ended.reward == ended.accuracy else f", reward {ended.reward:.4f}"
        what = f"acc {100 * ended.accuracy:.1f} %{epochs}{reward}, {ended.seconds:.0f} s"
    return (
        f"[{format_duration(status.seconds)}] {status.outlook.text} {candidate.key} ({candidate.source}, seed "
        f"{candidate.seed}) {format_count(candidate.flops)} FLOPs{latency}: {what}"
    )


class _TrainingDisplay(EpochListener):
    def __init__(self, out: Console, live: Live | None, epochs: int, images: int) -> None:
        self.out, self.live, self.epochs, self.images = out, live, epochs, images
        self.last: Epoch | None = None
        self.began, self.first = time.monotonic(), 0

    def begin(self, history: Sequence[Epoch]) -> None:
        self.last, self.first = history[-1] if history else None, 0

    def step(self, step: int, steps: int) -> None:
        if self.live is None:
            return
        if not self.first:
            self.began, self.first = time.monotonic(), step
            return
        pace = (time.monotonic() - self.began) / max(1, step - self.first)
        rate = self.images * self.epochs / steps / pace if pace else 0.0
        last = f", validation {100 * (self.last.accuracy or 0):.1f} %" if self.last else ""
        text = f"epoch {step * self.epochs // steps + 1}/{self.epochs}, {rate:,.0f} images/s, "
        text += f"about {format_duration((steps - step) * pace)} left{last}"
        self.live.update(Text(text, style="bold", no_wrap=True, overflow="ellipsis"), refresh=True)

    def epoch(self, epoch: Epoch) -> None:
        self.last = epoch
        accuracy = 100 * (epoch.accuracy or 0)
        self.out.print(
            f"epoch {epoch.epoch:3}/{self.epochs}: loss {epoch.loss:.4f}, validation {accuracy:5.1f} %, "
            f"{self.images / max(epoch.seconds, 1e-9):,.0f} images/s, {format_duration(epoch.seconds)}"
        )


def search(
    command: str,
    request: R,
    dry_run: bool,
    drive: Callable[..., Outcome],
    plan: Callable[[R, Listener], None],
    show: Callable[[Outcome], None] | None = None,
    out: Console | None = None,
) -> None:
    """Plans or drives a search, and prints what it found; exits with 130 where it was stopped, 1 if nothing trained.

    With `show` that prints the result; with `out` all else goes there.
    """
    out, stop = out or console(wide=not dry_run), StopRequest()
    listener = TerminalListener(out, stop)
    if dry_run:
        plan(request, listener)
    else:
        conclude(command, drive(request, listener, stop), request.results, out, show or _print_rows)


def conclude(command: str, outcome: Outcome, results: Path, out: Console, show: Callable[[Outcome], None]) -> None:
    """Prints the ranking of a run by `show`, how it ended, and what may be done next."""
    run, took = outcome.run, format_duration(outcome.status.seconds)
    where = "" if results == Path("results") else f" --results {results}"
    go_on = f"go on with: effsearch {command} --resume {run.name}{where}"
    if outcome.ranked:
        out.print()
        show(outcome)
        for line in outcome.notes:
            out.print(line)
    if outcome.status.problem is not None:
        out.print(f"the search ended early: {outcome.status.problem}", style="red")
    for path in outcome.files:
        out.print(f"wrote {path}")
    if outcome.stopped:
        out.print(f"stopped after {took}; {go_on}")
        raise typer.Exit(130)
    if not outcome.ranked:
        out.print(f"no training has finished in {took}", style="red")
        raise typer.Exit(1)
    if not outcome.finished and outcome.status.problem is None:
        out.print(f"the time was up; {go_on}", style="yellow")
    out.print(f"took {took}; next:")
    for line in _next(command, outcome, where):
        out.print(f"  {line}", soft_wrap=True)


def _print_rows(outcome: Outcome) -> None:
    run, rows = outcome.run, outcome.rows
    if run.kind == "curves":
        print_curves(run, rows)
    elif run.kind == "grid":
        chosen = [row for row in rows if (row.rank or 0) <= SHOWN or not row.source.startswith("candidate")]
        print_coefficients(run, rows, chosen)
    else:
        shown = SHOWN_OF_TABLE if run.manifest().on_table else SHOWN
        print_ranking(run, rows, [row for row in rows if (row.rank or 0) <= shown or row.source == "b0"])


def _next(command: str, outcome: Outcome, where: str) -> Iterator[str]:
    name = outcome.run.name
    if command == "grid":
        yield grow_command(outcome.run, where)
        if outcome.run.settings(GridSettings).method == "surface":
            yield f"effsearch grid --resume {name} --trials {2 * outcome.trials}{where}"
    if command == "nas" and not outcome.run.manifest().on_table:
        yield f"effsearch describe {name}:1{where}"
    yield f"effsearch show {name}{where}"
    if command == "transfer":
        yield f"effsearch transfer --resume {name} --seeds {2 * outcome.trials}{where}"
    if command == "verify":
        yield f"effsearch report {name}{where}"
        yield f"effsearch verify --resume {name} --seeds {2 * outcome.trials}{where}"
    if command == "nas":
        yield f"effsearch nas --resume {name} --trials {2 * outcome.trials}{where}"


def train(request: TrainRequest) -> None:
    """Trains one network, and prints how good it is; exits with 130 where it was stopped."""
    from effsearch.workflows.train import train_network

    out, stop = console(wide=False), StopRequest()
    run, done = train_network(request, TerminalListener(out, stop), stop)
    where = "" if request.results == Path("results") else f" --results {request.results}"
    if not done:
        out.print(f"stopped; go on with: effsearch train --resume {run.name}{where}")
        raise typer.Exit(130)
    print_training(run)
    out.print("next:")
    out.print(
        f"  effsearch report {run.name}{where}   (what the network confuses, with the images that it got most wrong)"
    )
    out.print(f"  effsearch predict {run.name} IMAGE|DIR...{where}")
    out.print(f"  effsearch export {run.name} --to onnx{where}   (or timm, torch-export, safetensors)")
