"""`effsearch plot [RUN] --kind KIND --out FILE`."""

from pathlib import Path
from typing import Annotated

import typer

from effsearch.cli.arguments import Results
from effsearch.text import printable


def plot(
    run: Annotated[
        str | None, typer.Argument(metavar="[RUN]", help="A run's name or folder [default: the latest]")
    ] = None,
    kind: Annotated[str, typer.Option(help="pareto, progress, curves (of curves) or surface (of a grid).")] = "pareto",
    out: Annotated[Path | None, typer.Option(help="A .png, .svg or .pdf file [default: KIND.svg in the run]")] = None,
    results: Results = Path("results"),
) -> None:
    """Draw a picture of a run for a paper."""
    from effsearch.report.pictures import check_picture, figure_of, save
    from effsearch.runs.folder import find

    found = find(results, run)
    path = out or found.path / f"{kind}.svg"
    check_picture(path)
    save(figure_of(found, kind), path)
    typer.echo(printable(f"drew {path}"))
