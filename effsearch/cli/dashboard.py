"""`effsearch dashboard RUN`."""

from pathlib import Path
from typing import Annotated

import typer

from effsearch.cli.arguments import Results
from effsearch.errors import QuantityError


def dashboard(
    run: Annotated[
        str | None, typer.Argument(metavar="[RUN]", help="A run's name or folder [default: the latest]")
    ] = None,
    port: Annotated[int, typer.Option(help="Of this machine.")] = 8080,
    results: Results = Path("results"),
) -> None:
    """Open a run in optuna-dashboard, wherever its trials are; Ctrl-C ends it."""
    if not 1 <= port <= 65535:
        raise QuantityError(f"--port must be from 1 to 65,535, got {port}")
    from effsearch.cli.packages import needed
    from effsearch.runs.folder import find
    from effsearch.runs.storage import dashboard_storage, stored

    found = find(results, run)
    storage = dashboard_storage(stored(found, found.manifest(), None))
    with needed("dashboard"):
        from optuna_dashboard import run_server
    typer.echo(f"run {found.name} at http://127.0.0.1:{port}/ (Ctrl-C ends it)")
    run_server(storage, host="127.0.0.1", port=port)
