"""`effsearch grid`: what would be trained, and how long that may take on this machine."""

from dataclasses import dataclass, replace

from rich.console import Console

from effsearch.cli.grid_session import GridRequest, check, settings_for
from effsearch.cli.machine import at_once, describe_slots, slots_on
from effsearch.cli.speed import measure
from effsearch.errors import QuantityError
from effsearch.evaluation import QUICK, STANDARD
from effsearch.executors.local import child
from effsearch.report.architecture_tables import PLAN_CAPTION, plan_grid
from effsearch.report.text_table import console
from effsearch.runs.settings import GridSettings
from effsearch.search.forecast import timed_cells
from effsearch.search.grid_problem import GridProblem
from effsearch.text import counted, format_count, format_duration

TRIALS = 24
CPU_SECONDS = 1800
"""What a search that nobody asked to be larger may take on a CPU."""

COARSER = (0.05, 0.1, 0.2)


@dataclass(frozen=True)
class Plan:
    """What would be trained on what, how long it may take, and what was left out to be done in time."""

    settings: GridSettings
    problem: GridProblem
    where: str
    seconds: float
    left_out: str | None


def print_plan(request: GridRequest) -> None:
    """Prints the networks of the grid, and the summary of their training."""
    out = console(wide=False)
    made = make_plan(request, out)
    out.print(plan_grid(made.problem.found).rich(f"{made.settings.name} grown to phi {made.settings.grid.phi:g}"))
    for line in PLAN_CAPTION.splitlines():
        out.print(line, style="dim")
    print_summary(made, out)


def make_plan(request: GridRequest, out: Console) -> Plan:
    """Measures how fast this machine is, and plans what it can do; raises EffsearchError."""
    check(request)
    settings = settings_for(request, None, QUICK)
    for cell in settings.cells():  # Complains of what cannot be before anything is measured.
        settings.proxy.shrink(cell.architecture)
    with out.status("measuring the speed of a few networks"), child() as ask:
        gpus = ask("effsearch.evaluation.devices", "survey")
        if gpus and request.proxy is None:
            settings = settings_for(request, None, STANDARD)
        forecast = measure(ask, settings.architecture, timed_cells(settings.cells()), settings.proxy, bool(gpus))
    slots = slots_on(gpus, request.workers)
    workers, where = at_once(slots), describe_slots(slots)
    if request.cluster is not None:  # How many workers it has is not known here.
        workers, where = 1, "one worker like this machine's, for all of the cluster to share"
    here = not gpus and request.cluster is None
    free = here and "step" not in request.grid and settings.method == "halving" and request.seconds is None
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
    return Plan(settings, problem, where, seconds, left_out)


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
    out.print(
        f"{proxy.name} proxy: {counted(proxy.epochs, 'epoch')} of at most {counted(proxy.train_images, 'image')}, "
        f"{proxy.resolution} px x gamma, channels x {proxy.width:g}; {how}"
    )
    out.print(
        f"{counted(made.problem.planned_epochs(), 'epoch')} in all, about {format_duration(made.seconds)} on "
        f"{made.where}, from a short measurement",
        style="bold",
    )
    if made.left_out is not None:
        out.print(f"left out: {made.left_out}")
    if settings.method == "halving" and proxy.name == "quick":
        out.print("for more certainty: --proxy standard, --repeats 5, or --method grid (all to the end)")
