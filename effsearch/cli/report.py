"""`effsearch report [RUN]`."""

from pathlib import Path
from typing import Annotated

import typer

from effsearch.cli.arguments import Results
from effsearch.cli.packages import needed
from effsearch.text import format_bytes, printable


def report(
    run: Annotated[
        str | None, typer.Argument(metavar="[RUN]", help="A run's name or folder [default: the latest]")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="An .html file; an existing one is replaced [default: report.html in the run]")
    ] = None,
    results: Results = Path("results"),
) -> None:
    """Write a run as one HTML page that needs nothing else."""
    with needed():
        from effsearch.report.page import write_page
        from effsearch.report.pages import page_of
    from effsearch.runs.folder import find

    found = find(results, run)
    path = out or found.path / "report.html"
    size = write_page(page_of(found), path)
    typer.echo(printable(f"wrote {path} ({format_bytes(size)})"))
