"""`effsearch show [RUN]`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from effsearch.cli.arguments import Results
from effsearch.cli.packages import needed
from effsearch.errors import QuantityError
from effsearch.text import counted


class Format(StrEnum):
    """How a ranking is printed."""

    table = "table"
    csv = "csv"
    json = "json"
    markdown = "markdown"


def show(
    run: Annotated[
        str | None, typer.Argument(metavar="[RUN]", help="A run's name or folder [default: the latest]")
    ] = None,
    top: Annotated[int | None, typer.Option(help="Only the first N.")] = None,
    sort: Annotated[str, typer.Option(help="A column to sort by, such as rank, accuracy, flops or params.")] = "rank",
    pareto: Annotated[bool, typer.Option("--pareto", help="Only the Pareto front of accuracy and FLOPs.")] = False,
    failed: Annotated[bool, typer.Option("--failed", help="The trainings that failed, and why.")] = False,
    fidelity: Annotated[
        bool, typer.Option("--fidelity", help="How well each rung of a search told what the last one says.")
    ] = False,
    format_: Annotated[Format, typer.Option("--format", help="How to print it.")] = Format.table,
    out: Annotated[Path | None, typer.Option(help="Write to a .csv, .json or .parquet file instead.")] = None,
    plot: Annotated[bool, typer.Option("--plot", help="Draw accuracy against FLOPs in the terminal.")] = False,
    results: Results = Path("results"),
) -> None:
    """Print the ranked table of a run."""
    if top is not None and top < 1:
        raise QuantityError(f"--top must be at least 1, got {top}")
    if plot and (out is not None or format_ is not Format.table):
        raise QuantityError("--plot draws in the terminal; leave out --out and --format, or see effsearch plot")
    from effsearch.report import ranking_table as ranked
    from effsearch.report.coefficients import print_grid
    from effsearch.report.failed import show_failed
    from effsearch.report.fidelity import show_fidelity
    from effsearch.report.growth_curves import print_curves
    from effsearch.report.learning_curves import print_training
    from effsearch.report.ranking_table import ranking_grid
    from effsearch.report.summary import measure_of, print_ranking
    from effsearch.report.text_table import console
    from effsearch.runs.folder import find

    found = find(results, run)
    if found.kind == "train":
        if plot:
            raise QuantityError(f"run {found.name} is one training and has no Pareto front; leave out --plot")
        print_training(found, console(wide=False))
        return
    if failed:
        show_failed(found, format_.value, out)
        return
    if fidelity:
        show_fidelity(found, format_.value, out)
        return
    rows = ranked.read(found)
    if plot:
        with needed():
            from effsearch.report.terminal_plot import print_front
        print_front(found, rows)
        return
    chosen = ranked.select(rows, top, sort, pareto)
    if out is not None:
        ranked.write(chosen, out)
        typer.echo(f"wrote {counted(len(chosen), 'row')} to {out}")
    elif format_ is Format.json:
        typer.echo(ranked.to_json(chosen))
    elif format_ is Format.csv:
        typer.echo(ranked.frame(chosen).to_csv(index=False), nl=False)
    elif format_ is Format.markdown:
        measure = measure_of(found.manifest().get("settings", {}))
        typer.echo(ranking_grid(chosen, measure=measure).markdown())
    elif found.kind == "grid":
        print_grid(found, rows, chosen)
    elif found.kind == "curves":
        print_curves(found, rows)
    else:
        print_ranking(found, rows, chosen)
