"""`effsearch replay`: replays samplers on a table, and prints and draws what came of it."""

import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import typer

from effsearch.cli.table_session import open_table
from effsearch.errors import QuantityError, listed
from effsearch.executors.local import MOST_WORKERS, cores
from effsearch.report.pictures import check_picture
from effsearch.report.replay import CAPTION, replay_grid, to_json, write_curves
from effsearch.report.text_table import Plain, console
from effsearch.reward import KINDS, Reward
from effsearch.runs.regret import Course, summarise
from effsearch.search.replay import best_of, courses, is_looked_at
from effsearch.text import counted, format_count


@dataclass(frozen=True)
class ReplayRequest:
    """What was asked for on the command line."""

    table: Path
    samplers: tuple[str, ...]
    seeds: int
    trials: int
    target: float | None
    reward: Any
    exponent: float
    pool: bool
    measurements: tuple[str, ...]
    workers: int | None
    running: int
    format: str
    out: Path | None


def execute(request: ReplayRequest) -> None:
    """Replays every sampler under every seed; raises EffsearchError before anything is begun."""
    if request.out is not None:
        check_picture(request.out)
    if request.reward not in KINDS:
        raise QuantityError(f"--reward must be one of {listed(KINDS)}, got {request.reward!r}")
    # Only the result goes to standard output, so that it can be read by a program.
    notes = Plain(file=sys.stderr, soft_wrap=True)
    listing, table, _ = open_table(request.table, request.pool, request.measurements, notes)
    target = request.target or median(entry.flops for entry in listing.table.entries.values())
    reward = Reward(target, request.reward, request.exponent)
    best = best_of(table, reward)
    found: list[Course] = []
    workers = request.workers or min(cores(), MOST_WORKERS)
    total = len(request.samplers) * request.seeds
    with notes.status("") as status:
        for course in courses(table, reward, request.samplers, request.seeds, request.trials, workers, request.running):
            found.append(course)
            status.update(f"{len(found)}/{total} searches")
    order = {name: index for index, name in enumerate(request.samplers)}
    replays = sorted(summarise(found, best), key=lambda replay: order[replay.sampler])
    title = f"{table.name}: reward {reward.formula}, T = {format_count(target)}"
    if request.out is not None:
        write_curves(replays, request.out, title)
        notes.print(f"drew {request.out}")
    if request.format == "json":
        typer.echo(to_json(replays))
        return
    grid = replay_grid(replays)
    if request.format == "markdown":
        typer.echo(grid.markdown())
        return
    out = console()
    out.print(grid.rich(f"{title}; {counted(request.seeds, 'seed')} of {counted(request.trials, 'evaluation')}"))
    out.print(CAPTION, style="dim")
    about = "" if is_looked_at(table) else " (the best that climbs find: there are too many to look at all)"
    out.print(f"the best of {table.size:,} networks: reward {best:.4f}{about}")
