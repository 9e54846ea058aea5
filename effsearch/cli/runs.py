"""`effsearch runs`."""

from pathlib import Path

import typer

from effsearch.cli.arguments import Results
from effsearch.text import counted


def list_runs(results: Results = Path("results")) -> None:
    """List the runs, the latest last."""
    from effsearch.report.summary import runs_grid
    from effsearch.report.text_table import console
    from effsearch.runs.folder import runs

    found = runs(results)
    if not found:
        typer.echo(f"no runs in {results}/; make one with: effsearch nas --target-flops 400M")
        return
    console().print(runs_grid(found).rich(f"{counted(len(found), 'run')} in {results}/"))
