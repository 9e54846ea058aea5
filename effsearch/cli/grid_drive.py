"""`effsearch grid`: drives a run, shows how it goes, and says what it found."""

from dataclasses import dataclass, replace
from pathlib import Path

import typer
from rich.console import Console

from effsearch.cli.arguments import plain_name
from effsearch.cli.grid_plan import TRIALS, make_plan, print_summary
from effsearch.cli.grid_session import GridRequest, check, settings_for
from effsearch.cli.progress import Progress
from effsearch.cli.session import (
    about_images,
    check_images,
    check_kind,
    create_stored,
    describe_proxy,
    existing_run,
    free_name,
    is_finished,
    pack,
    refuse_changes,
    watch,
)
from effsearch.cli.stop import StopRequest
from effsearch.cli.workers import Started, go_on, start
from effsearch.evaluation.proxy_training import ProxyTraining
from effsearch.report import ranking_table as ranked
from effsearch.report.coefficients import document, grow_command, print_grid
from effsearch.report.pictures import write_surface
from effsearch.report.text_table import console
from effsearch.runs.folder import Run, environment
from effsearch.runs.settings import GridSettings
from effsearch.runs.storage import stored as stored_run
from effsearch.search.driver import Status, drive
from effsearch.search.grid_problem import GridProblem
from effsearch.text import format_duration

SHOWN = 20
"""Rows of the table at the end."""


@dataclass(frozen=True)
class GridSession:
    """A run that is ready to be driven."""

    run: Run
    problem: GridProblem
    seconds: float | None
    images: Path
    started: Started


def execute(request: GridRequest) -> None:
    """Makes or continues a run, drives it, and prints what it found; exits with 1 if no training succeeded."""
    out = console()
    check(request)
    existing = existing_run(request.run, request.resume, request.results)
    session = _begin(request, out) if existing is None else _continue(request, existing, out)
    with session.run.held():
        status, stopped = _drive(session, out)
        rows = ranked.read(session.run)
        found = document(session.run, rows)
        if found is not None:
            session.run.write_coefficients(found)
        pictures = [] if stopped else write_surface(session.run, rows)
    _conclude(session, status, stopped, pictures, request.results, out)


def _largest(problem: GridProblem) -> int:
    """The px at which images are packed: those of the widest network, or of what a sampler may propose."""
    settings = problem.settings
    most = max(cell.architecture.resolution for cell in problem.found) / settings.architecture.resolution
    return settings.proxy.scaled(most).resolution


def _begin(request: GridRequest, out: Console) -> GridSession:
    made = make_plan(request, out)
    settings = made.settings
    images = pack(settings.data, _largest(made.problem), out)
    started = start(request.workers, request.cluster, images)
    limits = {"trials": made.problem.trials} | ({} if request.seconds is None else {"seconds": request.seconds})
    manifest = {
        "run": {"kind": "grid", **environment(), **started.where.manifest()},
        "settings": settings.to_dict(),
        "limits": limits,
        "data": about_images(images, settings.proxy),
    }
    name = request.run or free_name(request.results, f"grid-{plain_name(settings.name, 'baseline')}")
    run = create_stored(request.results, name, manifest, request.storage)
    out.print(f"run {run.name} in {run.path.parent}/", style="bold")
    print_summary(made, out)
    out.print(describe_proxy(images, settings.proxy))
    return GridSession(run, made.problem, request.seconds, images, started)


def _continue(request: GridRequest, run: Run, out: Console) -> GridSession:
    """Takes a run's own settings, and refuses what would give its trials another meaning."""
    manifest = run.manifest()
    check_kind(run, "grid")
    run = stored_run(run, manifest, request.storage)
    stored = GridSettings.from_dict(manifest.get("settings", {}))
    wanted = settings_for(request, stored, stored.proxy)
    refuse_changes(run, stored.differences(replace(wanted, data=stored.data, name=stored.name)))
    trials = request.trials or int(manifest.get("limits", {}).get("trials", TRIALS))
    problem = GridProblem(stored, trials)
    images = pack(wanted.data, _largest(problem), out)
    check_images(run, manifest, images, wanted.data)
    started = go_on(run, request.workers, request.cluster, images, request.device_change)
    out.print(f"going on with run {run.name} in {run.path.parent}/", style="bold")
    return GridSession(run, problem, request.seconds, images, started)


def _drive(session: GridSession, out: Console) -> tuple[Status, bool]:
    settings = session.problem.settings
    evaluator = ProxyTraining(
        settings.proxy,
        session.images,
        device=session.started.where.device,
        baseline_resolution=settings.architecture.resolution,
    )
    stop, progress = StopRequest(), Progress(out, settings.score, session.seconds)
    steps = drive(session.run, session.problem, evaluator, session.started.executor, session.seconds, stop)
    return watch(steps, stop, progress), stop.asked


def _conclude(
    session: GridSession, status: Status, stopped: bool, pictures: list[Path], results: Path, out: Console
) -> None:
    run, rows = session.run, ranked.read(session.run)
    where = "" if results == Path("results") else f" --results {results}"
    if any(row.rank is not None for row in rows):
        chosen = [row for row in rows if (row.rank or 0) <= SHOWN or not row.source.startswith("candidate")]
        out.print()
        print_grid(run, rows, chosen)
    if status.problem is not None:
        out.print(f"the search ended early: {status.problem}", style="red")
    if stopped:
        out.print(
            f"stopped after {format_duration(status.seconds)}; go on with: effsearch grid --resume {run.name}{where}"
        )
        raise typer.Exit(130)
    if not any(row.rank is not None for row in rows):
        out.print(f"no training has finished in {format_duration(status.seconds)}", style="red")
        raise typer.Exit(1)
    if not is_finished(session.problem, status):
        out.print(f"the time was up; go on with: effsearch grid --resume {run.name}{where}", style="yellow")
    for path in pictures:
        out.print(f"wrote {path}")
    out.print(f"took {format_duration(status.seconds)}; next:")
    out.print(f"  {grow_command(run, where)}", soft_wrap=True)
    out.print(f"  effsearch show {run.name}{where}")
