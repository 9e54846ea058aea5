"""The search for alpha, beta and gamma: what would be trained and for how long, and the search itself."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from effsearch.data import count_images
from effsearch.engine.growth_problems import GridProblem
from effsearch.engine.surface_problem import LEAST_TRAININGS, SurfaceProblem, grid_problem
from effsearch.errors import QuantityError
from effsearch.evaluation import Proxy
from effsearch.evaluation.devices import gpus
from effsearch.evaluation.proxy import TIMED, Forecast
from effsearch.reports.architecture_tables import PLAN_CAPTION, PLAN_COLUMNS
from effsearch.reports.coefficients import Answer
from effsearch.reports.pictures import write_surface
from effsearch.reports.text_table import TextTable
from effsearch.runs.folder import Run
from effsearch.runs.manifest import Limits
from effsearch.runs.ranking import Row
from effsearch.runs.settings import GridSettings
from effsearch.text import counted, format_count, format_duration
from effsearch.workflows import common
from effsearch.workflows.common import Listener, Outcome, Session, never
from effsearch.workflows.machine import begin, continue_on, measure_speed, packed_side, training_session, workers_here
from effsearch.workflows.proxy_choice import HOUR, choose, default_proxy
from effsearch.workflows.request import GridRequest, plain_name, settings_for

TRIALS = 24  # networks that tpe or evolution propose
ENOUGH = 60  # trainings that a preset must leave time for, with which a surface of two points is told by noise of one
EXAMPLE_SD = 0.01  # standard deviation between seeds by which it is said what a plan can tell
CPU_SECONDS = 1800  # time limit of halving on a CPU whose size is left to the defaults
COARSER = (0.05, 0.1, 0.2)


@dataclass(frozen=True)
class Plan:
    """What would be trained on what, how long it may take, and what was left out to be done in time.

    Where trainings rather than networks are planned, `each` is the mean of their seconds, and `fitting` how many of
    them fit into the time.
    """

    problem: GridProblem
    where: str
    seconds: float
    left_out: str | None
    each: float | None = None
    fitting: int = 0


def search_coefficients(request: GridRequest, listener: Listener, stopping: Callable[[], bool] = never) -> Outcome:
    """Makes or continues a run, drives it, and keeps what it found; raises EffsearchError before it writes."""
    request.check_limits()
    existing = request.existing()
    session = _begin(request, listener) if existing is None else _continue(request, existing, listener)

    def conclude(run: Run, rows: Sequence[Row]) -> list[Path]:
        if answer := Answer.of(run.settings(GridSettings), rows):
            run.write_coefficients(answer.document())
        return [] if stopping() else write_surface(run, rows)

    return common.run_session(session, listener, stopping, conclude)


def plan_coefficients(request: GridRequest, listener: Listener) -> None:
    """Shows the networks of the grid, and says how long their training may take."""
    request.check_limits()
    plan = make_plan(request, listener)
    settings = plan.problem.settings
    table = TextTable.of(PLAN_COLUMNS, plan.problem.cells)
    listener.table(table, f"{settings.name} grown to phi {settings.grid.phi:g}")
    listener.note(PLAN_CAPTION, "dim")
    summarise(plan, listener)


def make_plan(request: GridRequest, listener: Listener) -> Plan:
    """Measures how fast this machine is, and plans what it can do; raises EffsearchError."""
    settings = settings_for(request, proxy=default_proxy())
    for cell in settings.cells():  # Complains of what cannot be before anything is measured.
        settings.proxy.shrink(cell.architecture)
    timed = {cell.name: cell.architecture for cell in settings.cells() if cell.name in TIMED}
    workers, where = workers_here(request.workers)
    if request.cluster is not None:  # How many workers it has is not known here.
        workers, where = 1, "one worker like this machine's, for all of the cluster to share"

    def measure(proxy: Proxy) -> Forecast:
        return measure_speed(settings.architecture, timed, proxy, listener)

    if settings.method == "surface":
        return _steered(request, settings, measure, workers, where)
    return _coarsened(request, settings, measure(settings.proxy), workers, where)


def _steered(
    request: GridRequest, settings: GridSettings, measure: Callable[[Proxy], Forecast], workers: int, where: str
) -> Plan:
    """As many trainings as fit into the time, unless their number is given."""
    images = count_images(settings.data)  # Finds a wrong --data before anything is measured.
    budget = HOUR if request.seconds is None else request.seconds

    def each(proxy: Proxy, forecast: Forecast) -> float:
        return SurfaceProblem(replace(settings, proxy=proxy.limited(images))).training_seconds(forecast)

    def enough(proxy: Proxy, forecast: Forecast) -> float:
        return (request.trials or ENOUGH) * each(proxy, forecast) / workers

    choice = choose(request, budget, measure, enough)
    took = each(choice.proxy, choice.speed)
    fit = max(1, min(int(budget * workers / took), GridRequest.most_trials))
    trials = request.trials or max(LEAST_TRAININGS, fit)
    problem = SurfaceProblem(replace(settings, proxy=choice.proxy), trials)
    planned = trials * took / workers
    if problem.trials == fit or (request.seconds is not None and request.seconds < planned):
        return Plan(problem, where, budget, None, took, fit)
    return Plan(problem, where, planned, None, took, problem.trials)


def _coarsened(request: GridRequest, settings: GridSettings, forecast: Forecast, workers: int, where: str) -> Plan:
    """All networks; on a CPU those of coarser steps, if halving them would take too long."""
    trials = request.trials or TRIALS
    finest = problem = GridProblem(settings, trials)
    full = seconds = problem.planned_seconds(forecast, workers)
    here = not gpus() and request.cluster is None
    free = here and "step" not in request.grid and settings.method == "halving" and request.seconds is None
    for step in (step for step in COARSER if free and step > settings.grid.step):
        if seconds > CPU_SECONDS:
            with suppress(QuantityError):
                problem = GridProblem(replace(settings, grid=replace(settings.grid, step=step)), trials)
                seconds = problem.planned_seconds(forecast, workers)
    took, step = format_duration(full), COARSER[0]
    left_out = f"a grid of {step:g} would take about {took} here: ask for it by --step {step:g}"
    return Plan(problem, where, seconds, None if problem is finest else left_out)


def summarise(plan: Plan, listener: Listener) -> None:
    """Says what is trained, how long it may take, and what it may tell."""
    settings = plan.problem.settings
    proxy = settings.proxy
    listener.note(_networks_line(plan.problem))
    listener.note(
        f"{proxy.name} proxy: {counted(proxy.epochs, 'epoch')} of at most {counted(proxy.train_images, 'image')}, "
        f"{proxy.resolution} px x gamma, channels x {proxy.width:g}; {_how(settings)}"
    )
    listener.note(_time_line(plan), "bold")
    if isinstance(plan.problem, SurfaceProblem):
        points = 100 * plan.problem.difference_told(EXAMPLE_SD, plan.fitting)
        listener.note(
            f"can tell directions of growth apart that differ by about {points:.1f} points of accuracy, if the sd "
            f"between seeds is {100 * EXAMPLE_SD:g} point"
        )
    if plan.left_out is not None:
        listener.note(f"left out: {plan.left_out}")
    if settings.method == "halving" and proxy.name == "quick":
        listener.note("for more certainty: --proxy standard, --repeats 5, or --method grid (all to the end)")


def _how(settings: GridSettings) -> str:
    seeds = counted(settings.repeats, "seed")
    last = f"the best {settings.finalists}, the baseline and the paper's under {seeds}"
    return {
        "surface": f"trained is what tells most, then the best, the baseline and the paper's under {seeds}",
        "grid": f"all under {seeds}",
        "halving": f"the better half goes on after epoch {' and '.join(map(str, settings.rungs[:-1]))}; then {last}",
    }.get(settings.method, last)


def _time_line(plan: Plan) -> str:
    problem, took = plan.problem, format_duration(plan.seconds)
    if plan.each is None:
        epochs = counted(problem.planned_epochs(), "epoch")
        return f"{epochs} in all, about {took} on {plan.where}, from a short measurement"
    fitting = "" if plan.fitting == problem.trials else f"of which about {plan.fitting} fit into "
    return (
        f"at most {counted(problem.trials, 'training')} of about {format_duration(plan.each)}, {fitting}{took} on "
        f"{plan.where}; ends earlier once alpha, beta and gamma are each known to a third of their range"
    )


def _networks_line(problem: GridProblem) -> str:
    settings, found, grid = problem.settings, problem.cells, problem.settings.grid
    candidates = [cell for cell in found if cell.role == "candidate"]
    if not candidates:
        return (
            f"{settings.method} proposes {problem.trials} networks with alpha * beta^2 * gamma^2 = "
            f"{grid.target:g}; {counted(len(found), 'reference')}"
        )
    ratios = [cell.flops_ratio for cell in candidates]
    rule = (
        f"|alpha * beta^2 * gamma^2 - {grid.target:g}| <= {grid.tolerance:g}"
        if grid.constraint == "formula"
        else f"{grid.target:g}^{grid.phi:g} times the FLOPs, by gamma"
    )
    triples = sum(len(cell.triples) for cell in candidates)
    return (
        f"{counted(triples, 'triple')} in steps of {grid.step:g} with {rule}: "
        f"{counted(len(candidates), 'distinct network')} of x {min(ratios):.2f} to x {max(ratios):.2f} the "
        f"{format_count(settings.base_flops)} FLOPs of {settings.name}, and "
        f"{counted(len(found) - len(candidates), 'reference')}"
    )


def _begin(request: GridRequest, listener: Listener) -> Session:
    plan = make_plan(request, listener)
    problem, settings = plan.problem, plan.problem.settings
    stem, limits = f"grid-{plain_name(settings.name, 'baseline')}", Limits(problem.trials, request.seconds)
    run, started = begin(request, "grid", stem, problem, limits, listener)
    summarise(plan, listener)
    listener.note(common.describe_data(started.images, settings.proxy))
    return training_session(request, run, problem, started, problem.trials)


def _continue(request: GridRequest, run: Run, listener: Listener) -> Session:
    run, manifest, stored = common.reopen(request, run, "grid", GridSettings)
    wanted = settings_for(request, stored, stored.proxy)
    common.refuse_changes(run, stored, replace(wanted, data=stored.data, name=stored.name))
    problem = grid_problem(stored, request.trials or manifest.limits.trials or TRIALS)
    started = continue_on(request, run, manifest, wanted.data, packed_side(problem), listener)
    listener.note(f"going on with run {run.name} in {run.path.parent}/", "bold")
    return training_session(request, run, problem, started, problem.trials)
