"""`effsearch grid`: from what was asked for to a plan, and to a run that is ready to be driven."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from effsearch.candidates import Cell, CoefficientGrid
from effsearch.cli.arguments import resolve
from effsearch.errors import QuantityError, RunError
from effsearch.evaluation import PROXIES, QUICK, STANDARD, Proxy
from effsearch.quantities import counted, format_count, format_duration
from effsearch.report.grid import console
from effsearch.report.growth import PLAN_CAPTION, plan_grid
from effsearch.runs.executor import MOST_WORKERS, child, cores
from effsearch.runs.folder import Run, check_name
from effsearch.search.forecast import Forecast, timed_cells
from effsearch.search.grid import GridProblem, GridSettings

TRIALS = 24
CPU_SECONDS = 1800
"""What a search that nobody asked to be larger may take on a CPU."""

COARSER = (0.05, 0.1, 0.2)
CLASSES = 16
"""Of the networks that are timed: the classifier hardly counts."""


@dataclass(frozen=True)
class GridRequest:
    """What was asked for on the command line, and only that: the rest is the run's own, or a default."""

    baseline: str | None
    grid: Mapping[str, Any]
    asked: Mapping[str, Any]
    proxy: str | None
    proxy_changes: Mapping[str, Any]
    trials: int | None
    seconds: float | None
    workers: int | None
    run: str | None
    resume: str | None
    results: Path


@dataclass(frozen=True)
class Plan:
    """What would be trained on what, how long it may take, and what was left out to be done in time."""

    settings: GridSettings
    problem: GridProblem
    slots: list[int | None]
    device: str
    seconds: float
    left_out: str | None


@dataclass(frozen=True)
class GridSession:
    """A run that is ready to be driven."""

    run: Run
    problem: GridProblem
    seconds: float | None
    images: Path


def check(request: GridRequest) -> None:
    """Raises EffsearchError for what makes no sense, before anything is measured."""
    for name, value, most in (("trials", request.trials, 100_000), ("workers", request.workers, 256)):
        if value is not None and not 1 <= value <= most:
            raise QuantityError(f"--{name} must be from 1 to {most:,}, got {value}")
    if request.run is not None:
        check_name(request.run)
        if request.resume is not None:
            raise RunError("give --run or --resume, not both")


def settings_for(request: GridRequest, base: GridSettings | None, proxy: Proxy) -> GridSettings:
    """The settings `base`, or the defaults, with what was asked for in place of their own."""
    if request.proxy is not None:
        if request.proxy not in PROXIES:
            raise QuantityError(f"--proxy must be one of {', '.join(PROXIES)}, got {request.proxy!r}")
        proxy = PROXIES[request.proxy]
    proxy = replace(proxy, **request.proxy_changes)
    options = dict(request.grid)
    before = CoefficientGrid() if base is None else base.grid
    rounding = replace(before.rounding, depth=options.pop("depth_rounding", before.rounding.depth))
    grid = replace(before, rounding=rounding, **options)
    if base is None or request.baseline is not None:
        architecture, name = resolve(request.baseline or "b0", request.results)
        baseline = {"baseline": architecture.notation, "name": name}
    else:
        baseline = {"baseline": base.baseline, "name": base.name}
    values: dict[str, Any] = {**baseline, "grid": grid, "proxy": proxy, **request.asked}
    return GridSettings(**({"data": "scenes"} | values)) if base is None else replace(base, **values)


def plan(request: GridRequest, format_: str) -> None:
    """Prints what would be trained, and stops."""
    check(request)
    settings = settings_for(request, None, QUICK)
    if format_ == "json":
        typer.echo(json.dumps([_document(cell) for cell in settings.cells()], indent=2))
        return
    if format_ == "markdown":
        typer.echo(f"{plan_grid(settings.cells()).markdown()}\n\n{PLAN_CAPTION}")
        return
    out = console(wide=False)
    made = make_plan(request, out)
    out.print(plan_grid(made.problem.found).rich(f"{made.settings.name} grown to phi {made.settings.grid.phi:g}"))
    for line in PLAN_CAPTION.splitlines():
        out.print(line, style="dim")
    print_summary(made, out)


def _document(cell: Cell) -> dict[str, Any]:
    return {
        **asdict(cell.coefficients),
        "product": cell.coefficients.product,
        "role": cell.role,
        "name": cell.name,
        "triples": [[triple.alpha, triple.beta, triple.gamma] for triple in cell.triples],
        "notation": cell.architecture.notation,
        "key": cell.architecture.key,
        "resolution": cell.architecture.resolution,
        "flops": cell.cost.flops,
        "flops_ratio": cell.flops_ratio,
        "params": cell.cost.params,
    }


def make_plan(request: GridRequest, out: Console) -> Plan:
    """Measures how fast this machine is, and plans what it can do; raises EffsearchError."""
    check(request)
    settings = settings_for(request, None, QUICK)
    settings.cells()  # Complains of a grid that cannot be before anything is measured.
    with out.status("measuring the speed of a few networks"), child() as ask:
        gpus = ask("effsearch.evaluation.devices", "gpus")
        if gpus and request.proxy is None:
            settings = settings_for(request, None, STANDARD)
        device = f"{gpus} x {ask('effsearch.evaluation.devices', 'gpu_name')}" if gpus else f"CPU, {cores()} cores"
        forecast = _measure(ask, settings, bool(gpus))
    workers = request.workers or gpus or min(cores(), MOST_WORKERS)
    slots = [worker % gpus if gpus else None for worker in range(workers)]
    free = not gpus and "step" not in request.grid and settings.method == "halving" and request.seconds is None
    trials, left_out = request.trials or TRIALS, None
    problem = GridProblem(settings, trials)
    seconds = full = problem.planned_seconds(forecast, workers)
    for step in COARSER if free else ():
        if seconds <= CPU_SECONDS:
            break
        if step <= settings.grid.step:
            continue
        try:
            settings = replace(settings, grid=replace(settings.grid, step=step))
            problem = GridProblem(settings, trials)
        except QuantityError:
            continue
        seconds = problem.planned_seconds(forecast, workers)
        first = COARSER[0]
        left_out = f"a grid of {first:g} would take about {format_duration(full)} here: ask for it by --step {first:g}"
    return Plan(settings, problem, slots, device, seconds, left_out)


def _measure(ask: Any, settings: GridSettings, cuda: bool) -> Forecast:
    timed = timed_cells(settings.cells())
    baseline = settings.architecture
    networks = [
        (network, settings.proxy.scaled(network.resolution / baseline.resolution)) for network in timed.values()
    ]
    speeds = ask("effsearch.evaluation.speed", "measure", networks, CLASSES, cuda)
    return Forecast.of(
        {name: (timed[name], speed.train, speed.validate) for name, speed in zip(timed, speeds, strict=True)}
    )


def print_summary(made: Plan, out: Console) -> None:
    """What is trained, and how long it may take."""
    settings, found, proxy = made.settings, made.problem.found, made.settings.proxy
    grid = settings.grid
    candidates = [cell for cell in found if cell.role == "candidate"]
    base = format_count(settings.base_flops)
    if candidates:
        ratios = [cell.flops_ratio for cell in candidates]
        rule = (
            f"|alpha * beta^2 * gamma^2 - {grid.target:g}| <= {grid.tolerance:g}"
            if grid.constraint == "formula"
            else f"{grid.target:g}^{grid.phi:g} times the FLOPs, by gamma"
        )
        triples = sum(len(cell.triples) for cell in candidates)
        out.print(
            f"{counted(triples, 'triple')} in steps of {grid.step:g} with {rule}: "
            f"{counted(len(candidates), 'distinct network')} of x {min(ratios):.2f} to x {max(ratios):.2f} the "
            f"{base} FLOPs of {settings.name}, and {counted(len(found) - len(candidates), 'reference')}"
        )
    else:
        out.print(
            f"{settings.method} proposes {made.problem.trials} networks with alpha * beta^2 * gamma^2 = "
            f"{grid.target:g}; {counted(len(found), 'reference')}"
        )
    last = f"the best {settings.finalists}, the baseline and the paper's under {counted(settings.repeats, 'seed')}"
    how = {
        "grid": f"all under {counted(settings.repeats, 'seed')}",
        "halving": f"the better half goes on after epoch {' and '.join(map(str, settings.rungs[:-1]))}; then {last}",
        "tpe": last,
        "evolution": last,
    }[settings.method]
    kind = "GPU" if made.slots[0] is not None else "CPU thread"
    out.print(
        f"{proxy.name} proxy: {counted(proxy.epochs, 'epoch')} of at most {counted(proxy.train_images, 'image')}, "
        f"{proxy.resolution} px x gamma, channels x {proxy.width:g}; {how}"
    )
    out.print(
        f"{counted(made.problem.planned_epochs(), 'epoch')} in all, about {format_duration(made.seconds)} on "
        f"{counted(len(made.slots), 'worker')} (one {kind} each), from a short measurement",
        style="bold",
    )
    if made.left_out is not None:
        out.print(f"left out: {made.left_out}")
    if settings.method == "halving" and proxy.name == "quick":
        out.print("for more certainty: --proxy standard, --repeats 5, or --method grid (all to the end)")
