"""`effsearch nas --table`: drives a run on a table, and says what it found."""

from pathlib import Path

import typer

from effsearch.cli.progress import Progress
from effsearch.cli.session import watch
from effsearch.cli.stop import StopRequest
from effsearch.cli.table_session import TableRequest, open_table_session
from effsearch.executors.local import InlineExecutor
from effsearch.report import ranking_table as ranked
from effsearch.report.summary import print_ranking
from effsearch.report.text_table import console
from effsearch.search.table_problem import search_table
from effsearch.text import counted, format_duration

SHOWN = 10
"""Rows of the table at the end."""


def execute_table(request: TableRequest) -> None:
    """Makes or continues a run on a table, drives it, and prints what it found."""
    out = console()
    session = open_table_session(request, out)
    settings, run = session.settings, session.run
    out.print(f"run {run.name} in {run.path.parent}/", style="bold")
    out.print(
        f"target {settings.score.aim}, {settings.score.span(settings.window)} are looked up; {settings.sampler} "
        f"sampler, seed {settings.seed}; {counted(session.limits.trials, 'network')}"
    )
    stop, progress = StopRequest(), Progress(out, settings.score, session.limits.seconds)
    with run.held():
        executor = InlineExecutor(request.workers or 1)
        status = watch(search_table(run, session.table, settings, session.limits, executor, stop), stop, progress)
    rows = ranked.read(run)
    where = "" if request.results == Path("results") else f" --results {request.results}"
    if rows:
        out.print()
        print_ranking(run, rows, [row for row in rows if (row.rank or 0) <= SHOWN])
    if status.problem is not None:
        out.print(f"the search ended early: {status.problem}", style="red")
    if stop.asked:
        name = run.name
        out.print(f"stopped after {format_duration(status.seconds)}; go on with: effsearch nas --resume {name}{where}")
        raise typer.Exit(130)
    if not rows:
        raise typer.Exit(1)
    out.print(f"took {format_duration(status.seconds)}; next:")
    out.print(f"  effsearch show {run.name}{where}")
    out.print(f"  effsearch nas --resume {run.name} --trials {2 * session.limits.trials}{where}")
