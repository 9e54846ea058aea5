"""The search for alpha, beta and gamma: what would be trained and for how long, and the search itself."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from effsearch.engine.grid_problem import GridProblem
from effsearch.errors import QuantityError
from effsearch.evaluation import STANDARD
from effsearch.evaluation.proxy import TIMED
from effsearch.executors.local import child
from effsearch.reports.architecture_tables import PLAN_CAPTION, PLAN_COLUMNS
from effsearch.reports.coefficients import Answer
from effsearch.reports.pictures import write_surface
from effsearch.reports.text_table import TextTable
from effsearch.runs.folder import Run, environment
from effsearch.runs.manifest import Limits, Manifest
from effsearch.runs.ranking import Row
from effsearch.runs.settings import GridSettings
from effsearch.runs.storage import stored as stored_run
from effsearch.text import counted, format_count, format_duration
from effsearch.workflows import common
from effsearch.workflows.common import Listener, Outcome, Session, never
from effsearch.workflows.machine import (
    at_once,
    continue_on,
    describe_slots,
    measure_speed,
    slots_on,
    start,
    training_session,
)
from effsearch.workflows.named import plain_name
from effsearch.workflows.request import GridRequest, check_grid, settings_for

TRIALS = 24
CPU_SECONDS = 1800  # what a search that nobody asked to be larger may take on a CPU
COARSER = (0.05, 0.1, 0.2)


@dataclass(frozen=True)
class Plan:
    """What would be trained on what, how long it may take, and what was left out to be done in time."""

    settings: GridSettings
    problem: GridProblem
    where: str
    seconds: float
    left_out: str | None


def search_coefficients(request: GridRequest, listener: Listener, stopping: Callable[[], bool] = never) -> Outcome:
    """Makes or continues a run, drives it, and keeps what it found; raises EffsearchError before it writes."""
    check_grid(request)
    existing = request.existing()
    session = _begin(request, listener) if existing is None else _continue(request, existing, listener)
    return common.run_session(session, listener, stopping, lambda run, rows: _conclude(run, rows, stopping()))


def _conclude(run: Run, rows: Sequence[Row], stopped: bool) -> list[Path]:
    if answer := Answer.of(run.settings(GridSettings), rows):
        run.write_coefficients(answer.document())
    return [] if stopped else write_surface(run, rows)


def plan_coefficients(request: GridRequest, listener: Listener) -> None:
    """Shows the networks of the grid, and says how long their training may take."""
    plan = make_plan(request, listener)
    table = TextTable.of(PLAN_COLUMNS, plan.problem.cells)
    listener.table(table, f"{plan.settings.name} grown to phi {plan.settings.grid.phi:g}")
    for line in PLAN_CAPTION.splitlines():
        listener.note(line, "dim")
    summarise(plan, listener)


def make_plan(request: GridRequest, listener: Listener) -> Plan:
    """Measures how fast this machine is, and plans what it can do; raises EffsearchError."""
    check_grid(request)
    settings = settings_for(request)
    for cell in settings.cells():  # Complains of what cannot be before anything is measured.
        settings.proxy.shrink(cell.architecture)
    with listener.busy("measuring the speed of a few networks"), child() as ask:
        gpus = ask("effsearch.evaluation.devices", "survey")
        if gpus and request.proxy is None:
            settings = settings_for(request, proxy=STANDARD)
        timed = {cell.name: cell.architecture for cell in settings.cells() if cell.name in TIMED}
        forecast = measure_speed(ask, settings.architecture, timed, settings.proxy, bool(gpus))
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


def summarise(plan: Plan, listener: Listener) -> None:
    """Says what is trained, and how long it may take."""
    settings, proxy = plan.settings, plan.settings.proxy
    listener.note(_networks_line(plan))
    last = f"the best {settings.finalists}, the baseline and the paper's under {counted(settings.repeats, 'seed')}"
    how = {
        "grid": f"all under {counted(settings.repeats, 'seed')}",
        "halving": f"the better half goes on after epoch {' and '.join(map(str, settings.rungs[:-1]))}; then {last}",
        "tpe": last,
        "evolution": last,
    }[settings.method]
    listener.note(
        f"{proxy.name} proxy: {counted(proxy.epochs, 'epoch')} of at most {counted(proxy.train_images, 'image')}, "
        f"{proxy.resolution} px x gamma, channels x {proxy.width:g}; {how}"
    )
    listener.note(
        f"{counted(plan.problem.planned_epochs(), 'epoch')} in all, about {format_duration(plan.seconds)} on "
        f"{plan.where}, from a short measurement",
        "bold",
    )
    if plan.left_out is not None:
        listener.note(f"left out: {plan.left_out}")
    if settings.method == "halving" and proxy.name == "quick":
        listener.note("for more certainty: --proxy standard, --repeats 5, or --method grid (all to the end)")


def _networks_line(plan: Plan) -> str:
    settings, found, grid = plan.settings, plan.problem.cells, plan.settings.grid
    candidates = [cell for cell in found if cell.role == "candidate"]
    if not candidates:
        return (
            f"{settings.method} proposes {plan.problem.trials} networks with alpha * beta^2 * gamma^2 = "
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


def _begin(request: GridRequest, listener: Listener) -> Session[GridProblem]:
    plan = make_plan(request, listener)
    settings = plan.settings
    images = common.pack(settings.data, _largest(plan.problem), listener)
    started = start(request.workers, request.cluster, images)
    about, limits = started.where.noted(environment("grid")), Limits(plan.problem.trials, request.seconds)
    manifest = Manifest(about, settings, common.about_images(images, settings.proxy), limits)
    run = common.create_stored(request, f"grid-{plain_name(settings.name, 'baseline')}", manifest)
    common.announce(run, listener)
    summarise(plan, listener)
    listener.note(common.describe_data(images, settings.proxy))
    return training_session(request, run, plan.problem, images, started, plan.problem.trials)


def _continue(request: GridRequest, run: Run, listener: Listener) -> Session[GridProblem]:
    """Takes a run's own settings, and refuses what would give its trials another meaning."""
    common.check_kind(run, "grid")
    manifest, stored = run.manifest(), run.settings(GridSettings)
    run = stored_run(run, manifest.storage, request.storage)
    wanted = settings_for(request, stored, stored.proxy)
    common.refuse_changes(run, stored, replace(wanted, data=stored.data, name=stored.name))
    problem = GridProblem(stored, request.trials or manifest.limits.trials or TRIALS)
    images, started = continue_on(request, run, manifest, wanted.data, _largest(problem), listener)
    listener.note(f"going on with run {run.name} in {run.path.parent}/", "bold")
    return training_session(request, run, problem, images, started, problem.trials)


def _largest(problem: GridProblem) -> int:
    """The px at which images are packed: those of the widest network, or of what a sampler may propose."""
    settings = problem.settings
    most = max(cell.architecture.resolution for cell in problem.cells) / settings.architecture.resolution
    return settings.proxy.scaled(most).resolution
