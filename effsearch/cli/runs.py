"""`effsearch runs`, `show`, `plot`, `report` and `dashboard`: what is in the folders of runs."""

from pathlib import Path
from typing import Annotated, Any

import typer

from effsearch.cli.options import Results, RowsFormat, RunArgument, plain
from effsearch.errors import QuantityError, needed
from effsearch.text import counted, format_bytes, sanitize

KINDS = ("pareto", "progress", "curves", "surface", "means", "transfer")


def list_runs(results: Results = Path("results")) -> None:
    """List the runs, the latest last."""
    from effsearch.reports.ranking_table import runs_table
    from effsearch.reports.text_table import console
    from effsearch.runs.folder import runs

    found = runs(results)
    if not found:
        typer.echo(f"no runs in {results}/; make one with: effsearch nas --target-flops 400M")
        return
    console().print(runs_table(found).rich(f"{counted(len(found), 'run')} in {results}/"))


def show(
    run: RunArgument = None,
    top: Annotated[int | None, plain("Only the first N.", default="all", metavar="N")] = None,
    sort: Annotated[
        str, plain("A column to sort by, such as rank, accuracy, flops or params.", metavar="COLUMN")
    ] = "rank",
    pareto: Annotated[bool, plain("Only the Pareto front of accuracy and FLOPs.", "--pareto")] = False,
    failed: Annotated[bool, plain("The trainings that failed, and why.", "--failed")] = False,
    fidelity: Annotated[
        bool, plain("How well each rung of a search told what the last one says.", "--fidelity")
    ] = False,
    format_: Annotated[RowsFormat, plain("How to print it.", "--format")] = RowsFormat.table,
    out: Annotated[Path | None, plain("Write to a .csv, .json or .parquet file instead.", metavar="FILE")] = None,
    plot: Annotated[bool, plain("Draw accuracy against FLOPs in the terminal.", "--plot")] = False,
    results: Results = Path("results"),
) -> None:
    """Print the ranked table of a run."""
    if top is not None and top < 1:
        raise QuantityError(f"--top must be at least 1, got {top}")
    if plot and (out is not None or format_ is not RowsFormat.table):
        raise QuantityError("--plot draws in the terminal; leave out --out and --format, or see effsearch plot")
    from effsearch.reports.ranking_table import read_rows, select_rows
    from effsearch.reports.trainings import print_training, show_failed, show_fidelity
    from effsearch.reports.transfer import TransferResult, show_transfer
    from effsearch.reports.verification import show_verification
    from effsearch.runs.folder import find

    found = find(results, run)
    if found.kind == "train":
        if plot:
            raise QuantityError(f"run {found.name} is one training and has no Pareto front; leave out --plot")
        print_training(found)
    elif failed:
        show_failed(found, format_.value, out)
    elif fidelity:
        show_fidelity(found, format_.value, out)
    elif found.kind in ("verify", "transfer") and not plot:
        if top is not None or pareto or sort != "rank":
            raise QuantityError(
                f"--top, --sort and --pareto are for rankings; leave them out for a run of {found.kind}"
            )
        if found.kind == "verify":
            show_verification(found, format_.value, out)
        else:
            show_transfer(found, TransferResult.read(found), format_.value, out)
    elif plot:
        with needed():
            from effsearch.reports.terminal_plot import print_front
        print_front(found, read_rows(found))
    else:
        rows = read_rows(found)
        _show_ranking(found, rows, select_rows(rows, top, sort, pareto), format_, out)


def _show_ranking(run: Any, rows: Any, chosen: Any, form: RowsFormat, out: Path | None) -> None:
    """Prints the chosen rows of a ranking in that format, or writes them to the file `out`."""
    from effsearch.reports import ranking_table as table
    from effsearch.reports.coefficients import print_coefficients
    from effsearch.reports.growth_curves import print_curves

    if out is not None:
        table.write_ranking(chosen, out)
        typer.echo(f"wrote {counted(len(chosen), 'row')} to {out}")
    elif form is RowsFormat.json:
        typer.echo(table.ranking_json(chosen))
    elif form is RowsFormat.csv:
        typer.echo(table.ranking_frame(chosen).to_csv(index=False), nl=False)
    elif form is RowsFormat.markdown:
        typer.echo(table.ranking_table(chosen, measure=run.manifest().score.measure).markdown())
    elif run.kind == "grid":
        print_coefficients(run, rows, chosen)
    elif run.kind == "curves":
        print_curves(run, rows)
    else:
        table.print_ranking(run, rows, chosen)


def plot(
    run: RunArgument = None,
    kind: Annotated[
        str | None,
        plain(
            "pareto, progress, curves (of curves), surface (of a grid), means (of verify) or transfer (of transfer).",
            default="pareto, means of verify, or transfer",
            metavar="KIND",
            among=KINDS,
        ),
    ] = None,
    out: Annotated[
        Path | None, plain("A .png, .svg or .pdf file.", default="KIND.svg in the run", metavar="FILE")
    ] = None,
    results: Results = Path("results"),
) -> None:
    """Draw a picture of a run for a paper."""
    from effsearch.reports.pictures import check_picture, figure_of, save_figure
    from effsearch.runs.folder import find

    found = find(results, run)
    kind = kind or {"verify": "means", "transfer": "transfer"}.get(found.kind, "pareto")
    path = out or found.path / f"{kind}.svg"
    check_picture(path)
    save_figure(figure_of(found, kind), path)
    typer.echo(sanitize(f"drew {path}"))


def report(
    run: RunArgument = None,
    out: Annotated[
        Path | None,
        plain("An .html file; an existing one is replaced.", default="report.html in the run", metavar="FILE"),
    ] = None,
    results: Results = Path("results"),
) -> None:
    """Write a run as one HTML page that needs nothing else."""
    with needed():
        from effsearch.reports.page import page_of, write_page
    from effsearch.runs.folder import find

    found = find(results, run)
    path = out or found.path / "report.html"
    size = write_page(page_of(found), path)
    typer.echo(sanitize(f"wrote {path} ({format_bytes(size)})"))


def dashboard(
    run: RunArgument = None,
    port: Annotated[int, plain("Of this machine.", metavar="PORT")] = 8080,
    results: Results = Path("results"),
) -> None:
    """Open a run in optuna-dashboard, wherever its trials are; Ctrl-C ends it."""
    if not 1 <= port <= 65535:
        raise QuantityError(f"--port must be from 1 to 65,535, got {port}")
    from effsearch.runs.folder import find
    from effsearch.runs.storage import dashboard_storage, stored

    found = find(results, run)
    storage = dashboard_storage(stored(found, found.manifest().storage, None))
    with needed("dashboard"):
        from optuna_dashboard import run_server
    typer.echo(f"run {found.name} at http://127.0.0.1:{port}/ (Ctrl-C ends it)")
    run_server(storage, host="127.0.0.1", port=port)
